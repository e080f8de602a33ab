"""`POST /erasure` and `GET /erasure/{id}`: the way out."""

from typing import Any

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from dpdau.errors import (
    BatchTooLargeError,
    InputError,
    MalformedBodyError,
    UnsupportedMediaTypeError,
)
from dpdau.service.answers import json_answer
from dpdau.service.auth import Needs, Scope
from dpdau.service.bodies import decoded_body, documented_body
from dpdau.service.context import Context
from dpdau.service.openapi import problems
from dpdau.views import ErasureView

__all__ = ["router"]

router = APIRouter(prefix="/erasure", tags=["erasure"], dependencies=[Depends(Needs(Scope.INGEST))])

_MAX_USERS = 100_000
_JSON = "application/json"
_LINE_TYPES = ("application/x-ndjson", "application/jsonl")
_USER_ID = {"type": "string", "minLength": 1, "maxLength": 256}
_EXPECTED = '{"user_id": "…"} or {"user_ids": ["…", …]}'
_LINES = {
    "schema": {
        "type": "string",
        "description": "One user a line: a JSON string, or an object with user_id.",
    },
    "example": '"ada"\n{"user_id": "bob"}\n',
}
_BODY = documented_body(
    {
        _JSON: {
            "schema": {
                "oneOf": [
                    {
                        "type": "object",
                        "required": ["user_id"],
                        "properties": {"user_id": _USER_ID},
                        "additionalProperties": False,
                    },
                    {
                        "type": "object",
                        "required": ["user_ids"],
                        "properties": {
                            "user_ids": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": _MAX_USERS,
                                "items": _USER_ID,
                            }
                        },
                        "additionalProperties": False,
                    },
                ]
            },
            "example": {"user_id": "ada"},
        },
        **dict.fromkeys(_LINE_TYPES, _LINES),
    }
)


class _OneUser(msgspec.Struct, forbid_unknown_fields=True):
    user_id: str


class _Users(msgspec.Struct, forbid_unknown_fields=True):
    user_id: str | msgspec.UnsetType = msgspec.UNSET
    user_ids: list[str] | msgspec.UnsetType = msgspec.UNSET


_users_decoder = msgspec.json.Decoder(_Users)
_line_decoder = msgspec.json.Decoder(str | _OneUser)


@router.post(
    "",
    summary="Erase people",
    response_model=ErasureView,
    responses=problems(400, 401, 403, 413, 415, 422, 429, 503, 507)
    | {202: {"model": ErasureView, "description": "Erased; pages on disk are still being purged."}},
    openapi_extra=_BODY,
)
async def erase(request: Request, context: Context) -> Response:
    """Take people out of everything that is kept.

    The answer is the same whether they were known or not. Values published before stand: they
    are private about everyone.
    """
    user_ids = await decoded_body(request, context, _user_ids)
    application = context.application
    erasure = await run_in_threadpool(application.eraser.erase, user_ids)
    context.metrics.erased(erasure.users)
    await context.purge()
    view = await run_in_threadpool(application.erasure, erasure.erasure_id)
    return json_answer(view, 200 if view.state == "done" else 202)


@router.get(
    "/{erasure_id}",
    summary="The state of an erasure",
    response_model=ErasureView,
    responses=problems(401, 403, 404, 429, 503),
)
def state(context: Context, erasure_id: str) -> Response:
    """Whether the last trace is gone."""
    return json_answer(context.application.erasure(erasure_id))


def _user_ids(content_type: str | None, body: bytes) -> list[str]:
    media_type = (content_type or _JSON).partition(";")[0].strip().lower()
    if media_type == _JSON:
        user_ids = _of_object(body)
    elif media_type in _LINE_TYPES:
        user_ids = _of_lines(body)
    else:
        raise UnsupportedMediaTypeError("Content-Type", media_type, [_JSON, *_LINE_TYPES])
    if len(user_ids) > _MAX_USERS:
        raise BatchTooLargeError("user ids", len(user_ids), _MAX_USERS, "for one erasure")
    return user_ids


def _of_object(body: bytes) -> list[str]:
    users = _decoded(_users_decoder, body, _EXPECTED)
    given = [value for value in (users.user_id, users.user_ids) if value is not msgspec.UNSET]
    if len(given) != 1:
        message = f"The body names nobody, or in two ways; expected {_EXPECTED}."
        raise InputError(message)
    return [given[0]] if isinstance(given[0], str) else given[0]


def _of_lines(body: bytes) -> list[str]:
    user_ids = []
    for number, line in enumerate(body.splitlines(), start=1):
        if line.strip():
            expected = f'line {number} as "…" or {{"user_id": "…"}}'
            user = _decoded(_line_decoder, line, expected)
            user_ids.append(user if isinstance(user, str) else user.user_id)
    return user_ids


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes, expected: str) -> Any:
    """What a decoder reads; its own messages are left out, since they may quote a name."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        message = f"Expected {expected}. Nobody was erased."
        raise InputError(message) from None
    except (ValueError, RecursionError):
        raise MalformedBodyError("JSON", f"expected {expected}") from None
