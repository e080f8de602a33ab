"""A cheap HTTP client for load: bodies prepared ahead, one request at a time per connection.

Run as a process of its own: python bench/_load.py PORT FILE, where the file holds a list of
connections, each a list of bodies (msgpack). Prints what it measured as JSON.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import msgspec
import uvloop

_HEAD = (
    b"POST /event HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n"
)
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length: "
_OK = b"200"


class _Connection(asyncio.Protocol):
    """Sends the next body when the answer to the last one is complete."""

    def __init__(self, bodies: Sequence[bytes], done: "asyncio.Future[None]") -> None:
        self._bodies: Iterator[bytes] = iter(bodies)
        self._done = done
        self._received = b""
        self._sent_at = 0.0
        self.latencies: list[float] = []
        self.failures: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def start(self) -> None:
        """Send the next body, if there is one."""
        body = next(self._bodies, None)
        if body is None:
            self._transport.close()
            self._done.set_result(None)
            return
        self._sent_at = time.perf_counter()
        self._transport.writelines((_HEAD % len(body), body))

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(_END_OF_HEAD)
        if not separator or len(body) < _content_length(head):
            return
        self.latencies.append(time.perf_counter() - self._sent_at)
        if head[9:12] != _OK:
            self.failures.append(f"{head[9:12].decode()} {body.decode()}")
        self._received = b""
        self.start()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_exception(error or ConnectionError("The service closed a connection"))


def _content_length(head: bytes) -> int:
    return int(head.lower().partition(_LENGTH)[2].partition(b"\r\n")[0])


async def send(port: int, bodies: Sequence[Sequence[bytes]]) -> dict[str, object]:
    """Send each connection's bodies, all connections at once."""
    loop = asyncio.get_running_loop()
    futures = [loop.create_future() for _ in bodies]
    connections = [
        (await loop.create_connection(lambda: _Connection(own, done), "127.0.0.1", port))[1]  # noqa: B023 - called at once
        for own, done in zip(bodies, futures, strict=True)
    ]
    started = time.perf_counter()
    for connection in connections:
        connection.start()
    await asyncio.gather(*futures)
    return {
        "seconds": time.perf_counter() - started,
        "latencies": sorted(each for one in connections for each in one.latencies),
        "failures": [each for one in connections for each in one.failures],
    }


def main() -> None:
    """Send what a file holds."""
    port, file = int(sys.argv[1]), Path(sys.argv[2])
    bodies = msgspec.msgpack.decode(file.read_bytes(), type=list[list[bytes]])
    print(json.dumps(uvloop.run(send(port, bodies))))


if __name__ == "__main__":
    main()
