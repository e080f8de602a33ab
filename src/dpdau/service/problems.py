"""The one shape of every error: RFC 9457 problem objects."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import Scope

from dpdau.errors import (
    CommitUnknownError,
    DpdauError,
    HeadNotKeptError,
    InputError,
    RouteNotFoundError,
    StoreBusyError,
    StoreError,
    TooManyFilesError,
    UnauthorizedError,
)

__all__ = [
    "REQUEST_ID",
    "Problem",
    "ProblemResponse",
    "add_problem_handlers",
    "invalid_parameters",
    "problem_response",
    "unexpected_problem",
]

REQUEST_ID = "dpdau.request_id"
"""The key under which a request's ASGI scope holds its id."""

_DEFAULT_RETRY_SECONDS = 30
# Their messages name neither files nor machines.
_SELF_EXPLAINING = (CommitUnknownError, HeadNotKeptError, StoreBusyError, TooManyFilesError)

_log = structlog.get_logger("dpdau.service")


class Problem(BaseModel):
    """What went wrong, in the form of RFC 9457."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "day-open",
                "title": "Day still open",
                "status": 409,
                "detail": "2025-10-07 is still open: it closes at 2025-10-08T02:00+00:00. "
                "Ask again after that.",
                "instance": "/dau/2025-10-07",
                "request_id": "0f8fad5bd9cb469fa16570867728950e",
                "day": "2025-10-07",
                "closes_at": "2025-10-08T02:00+00:00",
            }
        },
    )

    type: str = Field(description="A stable word for the kind of problem.")
    title: str = Field(description="The kind of problem in a few words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened, with which value, and what to do.")
    instance: str = Field(description="The path that was asked for.")
    request_id: str = Field(description="The request's id, as in the header and in the log.")


class ProblemResponse(JSONResponse):
    """A problem object as an answer."""

    media_type = "application/problem+json"


def problem_response(scope: Scope, error: DpdauError) -> ProblemResponse:
    """The answer that tells of an error."""
    detail = error.message
    if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("problem", type=error.slug, message=detail, request_id=scope[REQUEST_ID])
        if isinstance(error, StoreError) and not isinstance(error, _SELF_EXPLAINING):
            # Others name files of this machine, which are for its operator only.
            detail = f"{error.title}: nothing was changed. The server's log says more."
    headers = {}
    retry_after = error.retry_after_seconds
    if retry_after is None and error.http_status == HTTPStatus.SERVICE_UNAVAILABLE:
        retry_after = _DEFAULT_RETRY_SECONDS
    if retry_after is not None:
        headers["Retry-After"] = str(math.ceil(retry_after))
    if error.ends_connection:
        headers["Connection"] = "close"
    if isinstance(error, UnauthorizedError):
        headers["WWW-Authenticate"] = "Bearer"
    return _problem(
        scope,
        error.http_status,
        kind=error.slug,
        title=error.title,
        detail=detail,
        headers=headers,
        details=error.details,
    )


def unexpected_problem(scope: Scope) -> ProblemResponse:
    """The answer that tells of a fault in this program, and nothing of its cause."""
    return _problem(
        scope,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        kind=DpdauError.slug,
        title=DpdauError.title,
        detail="The request failed for a reason inside the service. Its log knows more under "
        "this request's id.",
    )


def invalid_parameters(errors: Sequence[Mapping[str, Any]]) -> InputError:
    """What pydantic found wrong with parameters, without the values that were sent."""
    found = [
        {"parameter": ".".join(map(str, error["loc"])) or "body", "reason": error["msg"]}
        for error in errors
    ]
    sentences = [f"{each['parameter']}: {each['reason']}." for each in found]
    return InputError(" ".join(sentences), errors=found)


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error of a route with a problem."""

    @app.exception_handler(DpdauError)
    async def on_error(request: Request, error: DpdauError) -> ProblemResponse:
        return problem_response(request.scope, error)

    @app.exception_handler(RequestValidationError)
    async def on_invalid_parameters(
        request: Request, error: RequestValidationError
    ) -> ProblemResponse:
        # A location begins with the part of the request; what follows is the parameter.
        errors = [{"loc": each["loc"][1:], "msg": each["msg"]} for each in error.errors()]
        return problem_response(request.scope, invalid_parameters(errors))

    @app.exception_handler(HTTPException)
    async def on_http_exception(request: Request, error: HTTPException) -> ProblemResponse:
        if error.status_code == HTTPStatus.NOT_FOUND:
            message = "No route answers that path; /openapi.json lists those that exist."
            return problem_response(request.scope, RouteNotFoundError(message))
        status = HTTPStatus(error.status_code)
        return _problem(
            request.scope,
            status,
            kind=status.phrase.lower().replace(" ", "-"),
            title=status.phrase,
            detail=f"{status.description or status.phrase}.",
            headers=error.headers,
        )


def _problem(
    scope: Scope,
    status: int,
    *,
    kind: str,
    title: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    details: Mapping[str, Any] | None = None,
) -> ProblemResponse:
    return ProblemResponse(
        {
            "type": kind,
            "title": title,
            "status": int(status),
            "detail": detail,
            "instance": quote(scope["path"]),
            "request_id": scope[REQUEST_ID],
            **(details or {}),
        },
        status_code=int(status),
        headers=dict(headers or {}),
    )
