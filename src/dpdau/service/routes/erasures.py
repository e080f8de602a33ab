"""`POST /erasure`, `GET /erasure/{id}` and its receipt: the way out."""

import re
from typing import Annotated, Any

import msgspec
import structlog
from fastapi import APIRouter, Depends, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from dpdau.errors import (
    DpdauError,
    InputError,
    InvalidValueError,
    MalformedBodyError,
    UnsupportedMediaTypeError,
)
from dpdau.model.erasures import MAX_USERS
from dpdau.service.answers import json_answer
from dpdau.service.auth import Needs, Scope
from dpdau.service.bodies import decoded_body, documented_body
from dpdau.service.context import Context, ServiceContext
from dpdau.service.links import RECEIPT, STATE, linked
from dpdau.service.openapi import problems
from dpdau.service.problems import REQUEST_ID
from dpdau.views import ErasureView, ReceiptView

__all__ = ["router"]

_log = structlog.get_logger("dpdau.service")

router = APIRouter(prefix="/erasure", tags=["erasure"])

_INGEST = [Depends(Needs(Scope.INGEST))]
_ADMIN = [Depends(Needs(Scope.ADMIN))]
_NEXT = {"state": STATE, "receipt": RECEIPT}
_PURGING = {
    "model": ErasureView,
    "description": "Erased; pages on disk are still being purged.",
    "links": _NEXT,
}
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ESCAPED = re.compile(r'\\(["\\])')
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
                                "maxItems": MAX_USERS,
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
    dependencies=_INGEST,
    response_model=ErasureView,
    responses=problems(400, 401, 403, 413, 415, 422, 429, 503, 507)
    | linked(**_NEXT)
    | {202: _PURGING},
    openapi_extra=_BODY,
)
async def erase(
    request: Request,
    context: Context,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="A name for this request, 1 to 255 printable ASCII characters, in double "
            "quotes or not. Sent again with the same people it gets the same record and erases "
            "nobody; with other people it is refused.",
        ),
    ] = None,
) -> Response:
    """Take people out of everything that is kept.

    The answer is the same whether they were known or not. Values published before stand: they
    are private about everyone. If an id is unfit or too many are named, nobody is erased, and the
    problem's `erasure_id` is that of a record which says why.
    """
    try:
        return await _erase(request, context, idempotency_key)
    except DpdauError as error:
        context.metrics.refused_erasure(error.slug)
        raise


@router.get(
    "/{erasure_id}",
    summary="The state of an erasure",
    dependencies=_INGEST,
    response_model=ErasureView,
    responses=problems(401, 403, 404, 429, 503) | linked(receipt=RECEIPT),
)
def state(context: Context, erasure_id: str) -> Response:
    """Whether the last trace is gone, or why nobody was erased."""
    return json_answer(context.application.erasure(erasure_id))


@router.get(
    "/{erasure_id}/receipt",
    summary="The receipt of an erasure",
    dependencies=_ADMIN,
    response_model=ReceiptView,
    responses=problems(401, 403, 404, 409, 429, 503),
)
def receipt(context: Context, erasure_id: str) -> Response:
    """What was removed where, what is kept until when, and where the ledger was; names nobody."""
    return json_answer(context.application.receipt(erasure_id))


async def _erase(
    request: Request, context: ServiceContext, idempotency_key: str | None
) -> Response:
    request_key = None if idempotency_key is None else _unquoted(idempotency_key)
    user_ids = await decoded_body(request, context, _user_ids)
    application = context.application
    requested = await run_in_threadpool(application.eraser.erase, user_ids, request_key)
    if not requested.is_repeated:
        context.metrics.erased(requested.erasure.users)
    await context.purge()
    view = await run_in_threadpool(application.erasure, requested.erasure.erasure_id)
    _log.info(
        "erasure",
        request_id=request.scope[REQUEST_ID],
        erasure_id=view.erasure_id,
        state=view.state,
        users=requested.erasure.users,
        is_repeated=requested.is_repeated,
    )
    return json_answer(view, 200 if view.state == "done" else 202)


def _unquoted(header: str) -> str:
    """The string of a structured field (RFC 9651), or the header as it stands."""
    if not header.startswith('"'):
        return header
    match = _QUOTED.fullmatch(header)
    if match is None:
        expected = 'text without a leading double quote, or "text in double quotes"'
        raise InvalidValueError("Idempotency-Key", "not shown", expected)
    return _ESCAPED.sub(r"\1", match[1])


def _user_ids(content_type: str | None, body: bytes) -> list[str]:
    media_type = (content_type or _JSON).partition(";")[0].strip().lower()
    if media_type == _JSON:
        return _of_object(body)
    if media_type in _LINE_TYPES:
        return _of_lines(body)
    raise UnsupportedMediaTypeError("Content-Type", media_type, [_JSON, *_LINE_TYPES])


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
