"""`POST /event`: the way in."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from dpdau.errors import DpdauError, EventsRefusedError
from dpdau.formats import Decoded, decode_body, require_all
from dpdau.model.events import MAX_USER_ID_BYTES, Refusal
from dpdau.service.answers import json_answer
from dpdau.service.auth import Needs, Scope
from dpdau.service.bodies import decoded_body, documented_body
from dpdau.service.context import Context, ServiceContext
from dpdau.service.openapi import problems
from dpdau.service.problems import problem_response

__all__ = ["DirectEvents", "router"]

_NEEDS = Needs(Scope.INGEST)


_PATH = "/event"

router = APIRouter(tags=["events"])

_EVENT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "One person was, or was not, active on one day.",
    "required": ["user_id", "op"],
    "properties": {
        "user_id": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_USER_ID_BYTES,
            "description": f"An opaque name, 1 to {MAX_USER_ID_BYTES} bytes of UTF-8. "
            "It is replaced by a keyed hash and never stored.",
        },
        "op": {
            "enum": ["+", "-"],
            "description": '"+" for active; "-" takes it back. The last one wins.',
        },
        "day": {"type": "string", "format": "date", "description": "YYYY-MM-DD."},
        "ts": {
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
            "description": "In place of day: RFC 3339, or seconds since 1970.",
        },
        "scope": {
            "enum": ["day", "user"],
            "description": 'With "-" only: "user" erases the person everywhere.',
        },
        "metadata": {"type": "object", "description": "Ignored and not stored."},
    },
    "additionalProperties": False,
    "oneOf": [{"required": ["day"]}, {"required": ["ts"]}],
}
_EXAMPLE = {
    "events": [
        {"user_id": "ada", "op": "+", "day": "2025-10-07"},
        {"user_id": "bob", "op": "+", "ts": "2025-10-07T09:30:00Z"},
        {"user_id": "ada", "op": "-", "day": "2025-10-07"},
    ]
}
_TEXT = {"type": "string"}
_LINES = {
    "schema": _TEXT | {"description": "One event a line."},
    "example": '{"user_id": "ada", "op": "+", "day": "2025-10-07"}\n'
    '{"user_id": "bob", "op": "+", "day": "2025-10-07"}\n',
}
_BODY = documented_body(
    {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["events"],
                "properties": {"events": {"type": "array", "items": _EVENT_SCHEMA}},
                "additionalProperties": False,
            },
            "example": _EXAMPLE,
        },
        "application/x-ndjson": _LINES,
        "application/jsonl": _LINES,
        "text/csv": {
            "schema": _TEXT | {"description": "A header line and one event a line."},
            "example": "user_id,op,day\nada,+,2025-10-07\nbob,+,2025-10-07\n",
        },
        "application/vnd.apache.arrow.stream": {
            "schema": {
                "type": "string",
                "format": "binary",
                "description": "Columns with the names of an event's fields.",
            }
        },
    }
)


class RefusedEvent(BaseModel):
    """Why one event of a batch was not accepted."""

    index: int = Field(description="Its position in the batch, counted from 0.")
    reason: str = Field(description="What is wrong with it and what was expected.")


class EventsAccepted(BaseModel):
    """What became of a batch; sent once it is on disk."""

    accepted: int = Field(description="How many events are stored for good.")
    rejected: int = Field(description="How many were left out; always 0 without partial=true.")
    errors: list[RefusedEvent] = Field(description="Every event that was left out.")


@router.post(
    _PATH,
    summary="Send events",
    dependencies=[Depends(_NEEDS)],
    response_model=EventsAccepted,
    responses=problems(400, 401, 403, 413, 415, 422, 429, 503, 507),
    openapi_extra=_BODY,
)
async def add_events(
    request: Request,
    context: Context,
    *,
    partial: Annotated[
        bool, Query(description="Keep the good events of a batch that also has bad ones.")
    ] = False,
) -> Response:
    """Store a batch of events; the answer is sent once they are durable.

    A batch is accepted whole or refused whole, with the index and reason of every bad event,
    unless `partial=true`. Sending a batch again changes nothing, so it is safe to retry after
    any failure. Bodies may be compressed (`Content-Encoding: gzip` or `zstd`).
    """
    try:
        return await _store(request, context, partial=partial)
    except EventsRefusedError as error:
        context.metrics.rejected(Refusal(index, reason) for index, reason in error.refusals)
        raise
    except DpdauError as error:
        context.metrics.rejected_request(error.slug)
        raise


async def _store(request: Request, context: ServiceContext, *, partial: bool) -> Response:
    rules = context.application.event_rules(context.limits.batch_events)
    stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def submit(content_type: str | None, body: bytes) -> Decoded:
        decoded = decode_body(content_type, body, rules)
        events = decoded.events if partial else require_all(decoded)
        if len(events):
            context.writer.submit(events, stored)
        return decoded

    decoded = await decoded_body(request, context, submit)
    if len(decoded.events):
        await stored
    context.metrics.accepted(len(decoded.events))
    context.metrics.rejected(decoded.refusals)
    # As `EventsAccepted`, without making the models: most answers are of one shape.
    return json_answer(
        {
            "accepted": len(decoded.events),
            "rejected": len(decoded.refusals),
            "errors": [{"index": each.index, "reason": each.reason} for each in decoded.refusals],
        }
    )


class DirectEvents:
    """Answers `POST /event` as its route does, if there is no query, and passes on all else.

    To find a route and to resolve its dependencies takes longer than to store a hundred events.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._route = Route(_PATH, add_events, methods=["POST"])

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if (
            scope["type"] != "http"
            or scope["path"] != _PATH
            or scope["method"] != "POST"
            or scope["query_string"]
        ):
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        request = Request(scope, receive)
        response: Response
        try:
            _NEEDS.check(request)
            response = await add_events(request, request.app.state.context)
        except DpdauError as error:
            response = problem_response(scope, error)
        await response(scope, receive, send)
