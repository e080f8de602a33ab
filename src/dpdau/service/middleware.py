"""What happens around every request: its id, admission, headers, metrics, log line, last resort."""

import errno
import os
import re
from collections.abc import Iterator, Sequence
from time import perf_counter

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dpdau.errors import DpdauError, OutOfMemoryError
from dpdau.logs import described
from dpdau.service.admission import Admission
from dpdau.service.headers import header
from dpdau.service.metrics import OTHER_METHOD, UNMATCHED, ServiceMetrics
from dpdau.service.problems import REQUEST_ID, problem_response, unexpected_problem

__all__ = ["RequestMiddleware"]

_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ALWAYS_ADMITTED = frozenset({"/healthz", "/readyz"})
_CLIENT_CLOSED_REQUEST = 499
_SAFE_HEADERS: Sequence[tuple[bytes, bytes]] = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
# What Python says where the system starts no thread, for which it has no error of its own.
_NO_THREAD = "can't start new thread"
_ID_BYTES = 16
_IDS_AT_ONCE = 256

_log = structlog.get_logger("dpdau.service")


class RequestMiddleware:
    """Wraps the whole app.

    A log line holds the route's template and never a path, a query, a body, a key or an address.
    """

    def __init__(self, app: ASGIApp, *, metrics: ServiceMetrics, admission: Admission) -> None:
        self._app = app
        self._metrics = metrics
        self._admission = admission
        self._ids = _random_ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        scope[REQUEST_ID] = self._request_id(scope)
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
            if _lacks_memory(error):
                response = problem_response(scope, OutOfMemoryError())
            else:
                _log.error("fault", request_id=scope[REQUEST_ID], **described(error))
                response = unexpected_problem(scope)
            if not status:
                await response(scope, receive, send_safely)
        finally:
            self._record(scope, status, 1_000 * (perf_counter() - started))

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in _ALWAYS_ADMITTED:
            await self._app(scope, receive, send)
            return
        try:
            self._admission.admit(scope)
        except DpdauError as error:
            await problem_response(scope, error)(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._admission.release()

    def _record(self, scope: Scope, status: int, milliseconds: float) -> None:
        route = getattr(scope.get("route"), "path", UNMATCHED)
        method = scope["method"] if scope["method"] in _METHODS else OTHER_METHOD
        self._metrics.request(route, method, status, milliseconds)
        _log.info(
            "request",
            request_id=scope[REQUEST_ID],
            method=method,
            route=route,
            status=status,
            milliseconds=round(milliseconds, 3),
        )

    def _request_id(self, scope: Scope) -> str:
        given = header(scope, b"x-request-id")
        return given if given and _WELL_FORMED_ID.fullmatch(given) else next(self._ids)


def _lacks_memory(error: Exception) -> bool:
    """Whether nothing is wrong but that the system gives no more memory, or no thread."""
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, RuntimeError) and str(error) == _NO_THREAD)
    )


def _random_ids() -> Iterator[str]:
    """Ids that tell nothing, not even how many requests there were.

    Asking the operating system for randomness costs more than the randomness does.
    """
    while True:
        entropy = os.urandom(_ID_BYTES * _IDS_AT_ONCE)
        for start in range(0, len(entropy), _ID_BYTES):
            yield entropy[start : start + _ID_BYTES].hex()


def _add_headers(message: Message, request_id: str) -> None:
    headers = message["headers"]
    given = {name for name, _ in headers}
    headers.append((b"x-request-id", request_id.encode()))
    headers.extend(header for header in _SAFE_HEADERS if header[0] not in given)
