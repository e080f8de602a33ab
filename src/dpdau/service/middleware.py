"""What happens around every request: its id, rate, headers, metrics, log line and last resort."""

import re
from collections.abc import Mapping
from time import perf_counter
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dpdau.errors import RateLimitedError
from dpdau.service.limits import RateLimiter
from dpdau.service.logs import described
from dpdau.service.metrics import ServiceMetrics
from dpdau.service.problems import REQUEST_ID, problem_response, unexpected_problem

__all__ = ["RequestMiddleware"]

_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNLIMITED_PATHS = frozenset({"/healthz", "/readyz"})
_CLIENT_CLOSED_REQUEST = 499
_SAFE_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_log = structlog.get_logger("dpdau.service")


class RequestMiddleware:
    """Wraps the whole app.

    A log line holds the route's template and never a path, a query, a body, a key or an address.
    """

    def __init__(self, app: ASGIApp, *, metrics: ServiceMetrics, rate: RateLimiter) -> None:
        self._app = app
        self._metrics = metrics
        self._rate = rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        scope[REQUEST_ID] = _request_id(scope)
        status = 0

        async def send_safely(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message, scope[REQUEST_ID])
            await send(message)

        try:
            await self._answer(scope, receive, send_safely)
        except ClientDisconnect:
            status = _CLIENT_CLOSED_REQUEST
        except Exception as error:  # noqa: BLE001 - the last resort must catch everything
            _log.error("fault", request_id=scope[REQUEST_ID], **described(error))
            if not status:
                await unexpected_problem(scope)(scope, receive, send_safely)
        finally:
            self._record(scope, status, 1_000 * (perf_counter() - started))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["path"] not in _UNLIMITED_PATHS:
                self._rate.spend(scope["client"][0] if scope["client"] else "")
        except RateLimitedError as error:
            await problem_response(scope, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _record(self, scope: Scope, status: int, milliseconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unmatched")
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        self._metrics.request(route, method, status, milliseconds)
        _log.info(
            "request",
            request_id=scope[REQUEST_ID],
            method=method,
            route=route,
            status=status,
            milliseconds=round(milliseconds, 3),
        )


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _WELL_FORMED_ID.fullmatch(given) else uuid4().hex


def _add_headers(message: Message, request_id: str) -> None:
    headers = MutableHeaders(scope=message)
    headers["X-Request-ID"] = request_id
    for name, value in _SAFE_HEADERS.items():
        headers.setdefault(name, value)
