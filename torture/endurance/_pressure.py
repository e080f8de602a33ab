"""Clients that send a day's events over and over, each when its last answer came.

Run as a process of its own: python _pressure.py PORT. The key comes as the first line of the
standard input; every further line is an order, FILE and SECONDS: the file holds a list of
connections, each a list of bodies (msgpack). An order ends when its seconds are over and every
body was acknowledged at least once; then its figures are printed as one line of JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import uvloop

_HEAD = (
    b"POST /event HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"X-API-Key: %s\r\nContent-Length: %d\r\n\r\n"
)
_OK, _TURNED_AWAY = b"200", {b"429", b"503"}
_MOST_WAIT_SECONDS = 5.0


class _Connection(asyncio.Protocol):
    """Sends its bodies in turn; a body that is turned away is sent again after the wait asked for."""

    def __init__(
        self, key: bytes, bodies: Sequence[bytes], until: float, done: "asyncio.Future[None]"
    ) -> None:
        self._key, self._bodies, self._until, self._done = key, bodies, until, done
        self._position = 0
        self._received = b""
        self._sent_at = 0.0
        self.latencies: list[float] = []
        self.turned_away = 0
        self.requests = self.events = 0
        self._sizes = [body.count(b'"op"') for body in bodies]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator or len(body) < int(_header(head, b"content-length") or 0):
            return
        self._received = b""
        status = head[9:12]
        if status in _TURNED_AWAY:
            self.turned_away += 1
            wait = min(float(_header(head, b"retry-after") or 1), _MOST_WAIT_SECONDS)
            asyncio.get_running_loop().call_later(wait, self._send)
        elif status == _OK:
            self.latencies.append(time.perf_counter() - self._sent_at)
            self.requests += 1
            self.events += self._sizes[self._position % len(self._bodies)]
            self._position += 1
            self._next()
        else:
            told = f"{status.decode()} {body.decode(errors='replace')}"
            self._end(RuntimeError(f"A body was answered with {told}"))

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error or ConnectionError("The service closed a connection"))

    def _next(self) -> None:
        is_whole = self._position >= len(self._bodies)
        if not self._bodies or (is_whole and time.perf_counter() >= self._until):
            self._end(None)
            self._transport.close()
        else:
            self._send()

    def _send(self) -> None:
        body = self._bodies[self._position % len(self._bodies)]
        self._sent_at = time.perf_counter()
        self._transport.writelines((_HEAD % (self._key, len(body)), body))

    def _end(self, error: Exception | None) -> None:
        if self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)


def _header(head: bytes, name: bytes) -> bytes:
    return head.lower().partition(b"\r\n" + name + b": ")[2].partition(b"\r\n")[0]


async def press(
    port: int, key: bytes, bodies: Sequence[Sequence[bytes]], seconds: float
) -> dict[str, float]:
    """Send each connection's bodies in turn until the time is over; gives figures."""
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    futures = [loop.create_future() for _ in bodies]
    connections = [
        _Connection(key, own, started + seconds, done)
        for own, done in zip(bodies, futures, strict=True)
    ]
    for connection in connections:
        await loop.create_connection(lambda one=connection: one, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*futures)
    latencies = np.array([each for one in connections for each in one.latencies] or [0.0])
    p50, p99 = np.quantile(latencies, (0.5, 0.99)).tolist()
    return {
        "seconds": time.perf_counter() - started,
        "requests": float(sum(one.requests for one in connections)),
        "events": float(sum(one.events for one in connections)),
        "turned_away": float(sum(one.turned_away for one in connections)),
        "p50_ms": 1e3 * p50,
        "p99_ms": 1e3 * p99,
        "max_ms": 1e3 * float(latencies.max()),
    }


def main() -> None:
    """Carry out orders until there are no more."""
    port, key = int(sys.argv[1]), sys.stdin.readline().strip().encode()
    for order in sys.stdin:
        file, seconds = order.split()
        bodies = msgspec.msgpack.decode(Path(file).read_bytes(), type=list[list[bytes]])
        print(json.dumps(uvloop.run(press(port, key, bodies, float(seconds)))), flush=True)


if __name__ == "__main__":
    main()
