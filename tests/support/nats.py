"""A NATS server with JetStream, as a process of its own that tests may kill and start again."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy, StorageType

__all__ = ["NatsServer", "free_port"]

_T = TypeVar("_T")

PROGRAM = Path(sys.executable).with_name("nats-server")


class NatsServer:
    """One server on a port of its own, which stays the same when it starts again."""

    def __init__(self, folder: Path, config: str = "") -> None:
        self.port = free_port()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "nats.conf"
        self._config.write_text(
            f"listen: 127.0.0.1:{self.port}\njetstream {{ store_dir: '{folder}' }}\n{config}"
        )
        self._process: subprocess.Popen[str] | None = None
        self.options: dict[str, Any] = {}
        """What a client of the tests connects with, beside the address."""
        self.start()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        self._process = process = subprocess.Popen(  # noqa: S603 - its own program
            [PROGRAM, "--config", self._config], stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        assert any("Server is ready" in line for line in process.stderr)
        self._reader = threading.Thread(target=process.stderr.read)
        self._reader.start()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; a second time does nothing."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(60)
            self._reader.join()
            assert process.stderr is not None
            process.stderr.close()

    def ask(self, question: Callable[[JetStreamContext, Client], Awaitable[_T]]) -> _T:
        """Do something as a client, on a connection of its own."""

        async def run() -> _T:
            client = await nats.connect(self.url, allow_reconnect=False, **self.options)
            try:
                return await question(client.jetstream(), client)
            finally:
                await client.close()

        return asyncio.run(run())

    def make_streams(
        self, *, retention: RetentionPolicy = RetentionPolicy.LIMITS, dead: bool = True
    ) -> None:
        """The stream of events and, unless it is to be missing, that of dead letters."""

        async def make(server: JetStreamContext, _: Client) -> None:
            await server.add_stream(
                name="EVENTS",
                subjects=["dpdau.events", "dpdau.events.>"],
                retention=retention,
                storage=StorageType.FILE,
            )
            if dead:
                await server.add_stream(name="DEAD", subjects=["dpdau.dead"])

        self.ask(make)

    def publish(
        self,
        bodies: Iterable[bytes],
        subject: str | Callable[[bytes], str] = "dpdau.events",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Put messages into the stream, in order; they are durable when this returns."""

        async def send(server: JetStreamContext, client: Client) -> None:
            sent = list(bodies)
            for body in sent[:-1]:
                place = subject if isinstance(subject, str) else subject(body)
                await client.publish(place, body, headers=dict(headers or {}))
            place = subject if isinstance(subject, str) else subject(sent[-1])
            await server.publish(place, sent[-1], headers=dict(headers or {}))

        self.ask(send)

    def dead_letters(self) -> list[tuple[bytes, dict[str, str]]]:
        """Bodies and headers of what could not be taken, oldest first."""

        async def read(server: JetStreamContext, _: Client) -> list[tuple[bytes, dict[str, str]]]:
            state = (await server.stream_info("DEAD")).state
            found = [await server.get_msg("DEAD", n) for n in range(1, state.last_seq + 1)]
            return [(each.data or b"", dict(each.headers or {})) for each in found]

        return self.ask(read)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
