"""Running consumers: one process, until it is told to stop or, if that is asked, nothing is left."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import Settings
from dpdau.errors import ExtraMissingError
from dpdau.logs import configure_logs
from dpdau.streams.connections import Connection
from dpdau.streams.consumer import Consumer, Tally
from dpdau.streams.messages import Feed

__all__ = ["consume"]

_log = structlog.get_logger("dpdau.streams")

_WATCH_SECONDS = 1.0
_REPORT_SECONDS = 60.0


def consume(
    settings: Settings, *, drain: bool = False, watch: Callable[[Tally], None] = lambda _: None
) -> Tally:
    """Read from the broker into the store until SIGINT or SIGTERM; what is in hand is finished.

    Args:
        settings: name the broker and the store.
        drain: whether to end once the broker has nothing more.
        watch: is told every second what was done so far.

    Raises:
        ExtraMissingError: if the libraries of the brokers are not installed.
        BrokerRefusedError: if the broker does not accept the credentials.
        BrokerSetupError: if what should be read is missing there.
        PartitionTakenError: if another consumer has taken over.
        StoreError: if the store needs attention before it can go on.
    """
    connection = Connection.of(settings)
    tally = Tally()
    configure_logs(settings)
    with build(settings) as application:
        asyncio.run(_run(application, settings, connection, tally, drain=drain, watch=watch))
    return tally


def _feeds(settings: Settings, connection: Connection) -> Sequence[Feed]:
    # Imported here, since the libraries are an extra.
    try:
        if connection.kind == "nats":
            from dpdau.streams.nats import nats_feeds  # noqa: PLC0415

            return nats_feeds(settings, connection)
        from dpdau.streams.kafka import kafka_feeds  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ExtraMissingError("broker") from None
    return kafka_feeds(settings, connection)


async def _run(
    application: Application,
    settings: Settings,
    connection: Connection,
    tally: Tally,
    *,
    drain: bool,
    watch: Callable[[Tally], None],
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for kind in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(kind, stopping.set)
    consumers = [
        Consumer(
            application,
            feed,
            tally,
            max_events=settings.max_batch_events,
            max_bytes=settings.max_body_bytes,
        )
        for feed in _feeds(settings, connection)
    ]
    ended = asyncio.Event()
    watching = asyncio.create_task(_watch(tally, watch, ended))
    try:
        await _together(consumers, stopping, drain=drain)
    finally:
        ended.set()
        await watching
        _report(tally)


async def _together(consumers: Sequence[Consumer], stopping: asyncio.Event, *, drain: bool) -> None:
    """Run all; if one fails, the others finish what they have in hand."""

    async def run(consumer: Consumer) -> None:
        try:
            await consumer.run(stopping, drain=drain)
        except BaseException:
            stopping.set()
            raise

    ends = await asyncio.gather(*map(run, consumers), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end


async def _watch(tally: Tally, watch: Callable[[Tally], None], ended: asyncio.Event) -> None:
    seconds = 0.0
    while not ended.is_set():
        watch(tally)
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), _WATCH_SECONDS)
        seconds += _WATCH_SECONDS
        if seconds >= _REPORT_SECONDS:
            _report(tally)
            seconds = 0.0


def _report(tally: Tally) -> None:
    _log.info(
        "consumed",
        messages=tally.messages,
        events=tally.events,
        dead_letters=tally.dead_letters,
        batches=tally.batches,
        interruptions=tally.interruptions,
    )
