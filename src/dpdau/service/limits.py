"""How much one client may send: bytes, events and requests."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from fastapi import Request
from starlette.requests import ClientDisconnect

from dpdau.config import Settings
from dpdau.errors import BatchTooLargeError, RateLimitedError, RequestTimeoutError
from dpdau.service.headers import header

__all__ = ["WHOLE", "Limits", "RateLimiter", "read_body"]

WHOLE = "dpdau.whole"
"""The key that an ASGI scope holds if all of its request's body has arrived."""

_MAX_TRACKED_CLIENTS = 10_000
_SECONDS_PER_MINUTE = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may be.

    Attributes:
        body_bytes: the longest body, as it is sent and also decompressed.
        body_seconds: how long a body may take to arrive.
        batch_events: the most events of one request.
        waiting_events: beyond this many events in the writer's queue, more are refused.
    """

    body_bytes: int
    body_seconds: float
    batch_events: int
    waiting_events: int

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """The configured limits."""
        return cls(
            body_bytes=settings.max_body_bytes,
            body_seconds=settings.body_seconds,
            batch_events=settings.max_batch_events,
            waiting_events=settings.max_waiting_events,
        )


class RateLimiter:
    """A token bucket per client: a minute's worth may come at once, then at the steady rate.

    Memory is bounded: the client not heard of for longest is forgotten first. Used on the event
    loop only, so it needs no lock.
    """

    def __init__(
        self,
        per_minute: int,
        *,
        max_clients: int = _MAX_TRACKED_CLIENTS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Start with full buckets.

        Args:
            per_minute: the rate; 0 for no limit.
            max_clients: how many clients are told apart.
            clock: gives a time in seconds that never runs backwards.
        """
        self._per_minute = per_minute
        self._max_clients = max_clients
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def spend(self, client: str) -> None:
        """Take one token of a client's bucket.

        Raises:
            RateLimitedError: if there is none; says when there will be.
        """
        if not self._per_minute:
            return
        now = self._clock()
        rate = self._per_minute / _SECONDS_PER_MINUTE
        tokens, since = self._buckets.pop(client, (float(self._per_minute), now))
        tokens = min(tokens + (now - since) * rate, self._per_minute)
        allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > self._max_clients:
            self._buckets.popitem(last=False)
        if not allowed:
            raise RateLimitedError(self._per_minute, math.ceil((1 - tokens) / rate))


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body, unless it is too long or too slow; what follows the limit is not kept.

    Raises:
        BatchTooLargeError: if it is announced to be, or turns out to be, too long.
        RequestTimeoutError: if it is not complete in time.
    """
    announced = header(request.scope, b"content-length") or ""
    if announced.isdecimal() and int(announced) > limits.body_bytes:
        raise BatchTooLargeError("bytes", int(announced), limits.body_bytes, "MAX_BODY_BYTES")
    if WHOLE in request.scope:
        return await _received(request, limits)
    try:
        async with asyncio.timeout(limits.body_seconds):
            return await _received(request, limits)
    except TimeoutError:
        raise RequestTimeoutError("body", limits.body_seconds, "BODY_SECONDS") from None


async def _received(request: Request, limits: Limits) -> bytes:
    chunks = []
    size = 0
    is_complete = False
    while not is_complete:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limits.body_bytes:
            raise BatchTooLargeError("bytes", None, limits.body_bytes, "MAX_BODY_BYTES")
        chunks.append(chunk)
        is_complete = not message.get("more_body", False)
    return b"".join(chunks)
