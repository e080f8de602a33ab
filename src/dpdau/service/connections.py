"""How long and how large a connection's requests may be before the app has them.

uvicorn waits for ever for the rest of a request and takes heads of any length; what it cannot read
it answers in plain text. Here every wait has an end, and every answer is a problem.
"""

import asyncio
import secrets
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dpdau.config import Settings
from dpdau.errors import (
    DpdauError,
    HeadTooLargeError,
    MalformedRequestError,
    OutOfMemoryError,
    RequestTimeoutError,
    TooManyAtOnceError,
)
from dpdau.service.admission import REFUSAL
from dpdau.service.limits import WHOLE
from dpdau.service.problems import REQUEST_ID, problem_response

__all__ = ["ConnectionLimits", "GuardedConfig", "GuardedConnection"]

_ID_BYTES = 16
# Who comes beyond the limit is told so when the head is there; beyond this many times the limit
# there is no answer, since waiting for heads takes places too.
_ANSWERED_SHARE = 2
# What stands around a header's name and value: a colon, a space and the end of the line.
_SEPARATORS = 4

_log = structlog.get_logger("dpdau.service")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What connections may take.

    Attributes:
        connections: the most that are open at once.
        head_bytes: the longest request line and headers.
        head_seconds: how long a head may take to arrive.
        body_seconds: how long a body may take to arrive, or more of an answer to be taken.
    """

    connections: int
    head_bytes: int
    head_seconds: float
    body_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> "ConnectionLimits":
        """The configured limits."""
        return cls(
            connections=settings.max_connections,
            head_bytes=settings.max_head_bytes,
            head_seconds=settings.head_seconds,
            body_seconds=settings.body_seconds,
        )


class GuardedConfig(uvicorn.Config):
    """uvicorn's configuration, with limits for its connections.

    Attributes:
        connection_limits: them.
        refused: told the status of every answer that is not the app's.
    """

    def __init__(
        self,
        app: Any,
        *,
        limits: ConnectionLimits,
        refused: Callable[[int], None],
        **options: Any,
    ) -> None:
        """Take uvicorn's own options and these."""
        self.connection_limits = limits
        self.refused = refused
        super().__init__(app, http=GuardedConnection, **options)


class _Stage(Enum):
    """What a connection waits for."""

    REQUEST = auto()
    HEAD = auto()
    BODY = auto()


class GuardedConnection(HttpToolsProtocol):
    """A connection that is ended if its client is too slow, too long-winded or one too many.

    A request that arrives whole, as nearly all do, starts no timer.
    """

    config: GuardedConfig

    def __init__(self, config: GuardedConfig, *others: Any, **options: Any) -> None:
        super().__init__(config, *others, **options)
        self._limits = config.connection_limits
        self._stage = _Stage.REQUEST
        self._timed: _Stage | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._abortion: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._is_surplus = False

    # --- the connection ---

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """Begin to wait for the first request, if there is a place."""
        super().connection_made(transport)
        count = len(self.connections)
        self._is_surplus = count > self._limits.connections
        if count > _ANSWERED_SHARE * self._limits.connections:
            transport.abort()
        else:
            self._time(_Stage.REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        super().connection_lost(exc)
        self._stop_timing()
        self._stay()

    def eof_received(self) -> bool:  # type: ignore[override] # uvicorn gives up every answer
        """Give who sends nothing more the answers to what was sent whole; keep nobody else."""
        is_waited_for = self._stage is not _Stage.BODY and not self._is_idle()
        if is_waited_for:
            # The newest of its requests; the end of that answer ends the connection.
            self.cycle.keep_alive = False
        return is_waited_for

    def data_received(self, data: bytes) -> None:
        """Parse what came, then see what is still to come."""
        super().data_received(data)
        if self.transport.is_closing():
            self._stop_timing()
            return
        if self._stage is _Stage.HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.head_bytes:
                self._refuse(HeadTooLargeError(self._limits.head_bytes))
                return
        if self._stage is _Stage.REQUEST and not self._is_idle():
            self._stop_timing()
        elif self._stage is not self._timed:
            self._time(self._stage)

    # --- the parser ---

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._stage = _Stage.HEAD
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Hand the request to the app, with the reason to refuse it if there is one."""
        self._stage = _Stage.BODY
        size = len(self.url) + sum(
            len(name) + len(value) + _SEPARATORS for name, value in self.headers
        )
        if size > self._limits.head_bytes:
            self._mark(HeadTooLargeError(self._limits.head_bytes))
        elif self._is_surplus:
            limit = self._limits.connections
            self._mark(TooManyAtOnceError("connections", limit, "MAX_CONNECTIONS"))
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request; the next one has all its time."""
        self.scope[WHOLE] = True  # type: ignore[literal-required] # an extension of ASGI's
        super().on_message_complete()
        self._stage = _Stage.REQUEST
        self._timed = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text
        """Answer what is no request, or two in one, and end the connection."""
        # The parser gives errors of this side in disguise.
        found = sys.exc_info()[1]
        is_no_memory = found is not None and isinstance(found.__context__, MemoryError)
        self._refuse(OutOfMemoryError() if is_no_memory else MalformedRequestError())

    # --- answers ---

    def pause_writing(self) -> None:
        """Let a client that takes no more of its answer have a while."""
        super().pause_writing()
        self._abort_later()

    def resume_writing(self) -> None:
        """Go on with an answer."""
        super().resume_writing()
        self._stay()

    def on_response_complete(self) -> None:
        """See that a connection that ends with its answer does end."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_later()

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that is not used any more."""
        super().timeout_keep_alive_handler()
        self._abort_later()

    # --- waiting ---

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr] # None at first

    def _time(self, stage: _Stage) -> None:
        """Wait for what comes next in a stage, for as long as that may take."""
        self._stop_timing()
        self._timed = stage
        limits = self._limits
        seconds = limits.body_seconds if stage is _Stage.BODY else limits.head_seconds
        self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _stop_timing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = self._timed = None

    def _too_slow(self) -> None:
        stage = self._stage
        if self.flow.read_paused or (stage is _Stage.BODY and not self._is_idle()):
            # It is this side that waits: for the app to read, whose own limit is `BODY_SECONDS`,
            # or to answer without having read.
            self._time(stage)
        elif stage is _Stage.HEAD:
            self._refuse(RequestTimeoutError("head", self._limits.head_seconds, "HEAD_SECONDS"))
        else:
            self._end()

    def _abort_later(self) -> None:
        self._stay()
        self._abortion = self.loop.call_later(self._limits.body_seconds, self.transport.abort)

    def _stay(self) -> None:
        if self._abortion is not None:
            self._abortion.cancel()
            self._abortion = None

    # --- refusing ---

    def _mark(self, error: DpdauError) -> None:
        self.scope[REFUSAL] = error  # type: ignore[literal-required] # an extension of ASGI's

    def _refuse(self, error: DpdauError) -> None:
        """Answer without the app, unless it is in the midst of an answer; end the connection."""
        request_id = secrets.token_hex(_ID_BYTES)
        _log.warning("refused", type=error.slug, request_id=request_id)
        self.config.refused(error.http_status)
        is_answering = not self._is_idle() and (self.pipeline or self.cycle.response_started)
        if not is_answering:
            self.transport.write(self._answer(error, request_id))
        self._end()

    def _answer(self, error: DpdauError, request_id: str) -> bytes:
        scope = {"path": "", REQUEST_ID: request_id}
        response = problem_response(scope, error)
        headers = [
            *self.server_state.default_headers,
            *response.raw_headers,
            (b"x-request-id", request_id.encode()),
        ]
        status = HTTPStatus(response.status_code)
        lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode())]
        lines += [name + b": " + value for name, value in headers]
        return b"\r\n".join([*lines, b"", bytes(response.body)])

    def _end(self) -> None:
        self._stop_timing()
        self.transport.close()
        self._abort_later()
