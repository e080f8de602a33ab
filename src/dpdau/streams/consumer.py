"""One task that reads one feed into the store.

A batch is read, stored with the position of its last message in one transaction, and only then
acknowledged; the next one is read after that. Whatever fails, the feed is opened again behind the
store's position after a pause that grows, so a batch that cannot be stored is tried again before
anything that follows on it. `pipeline.positions` shows why that counts every event once and in
order.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic

import structlog
from anyio import to_thread

from dpdau.application import Application
from dpdau.errors import (
    BrokerUnreachableError,
    DpdauError,
    StoreCorruptError,
    StoreError,
    StoreVersionError,
    WrongSecretError,
)
from dpdau.logs import described
from dpdau.pipeline.ingest import IngestOutcome
from dpdau.pipeline.positions import Advance, position_in
from dpdau.streams.decoding import Poison, decode_messages
from dpdau.streams.messages import Batch, Feed

__all__ = ["Consumer", "Tally", "pause_after"]

_log = structlog.get_logger("dpdau.streams")

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 30.0
_JITTER_STEPS = 1 << 16
_PURGE_PAUSE_SECONDS = 60.0

# Trying again does not help against these; whoever starts this program has to do something.
_HOPELESS = (WrongSecretError, StoreCorruptError, StoreVersionError)


@dataclass(slots=True)
class Tally:
    """What was done so far; for operators only.

    Attributes:
        messages: how many were read and are done with.
        events: how many of their events were taken.
        dead_letters: how many messages were poison.
        batches: how many commits that took.
        interruptions: how often the broker or the store was away.
    """

    messages: int = 0
    events: int = 0
    dead_letters: int = 0
    batches: int = 0
    interruptions: int = 0


class Consumer:
    """Reads one feed until told to stop."""

    def __init__(
        self,
        application: Application,
        feed: Feed,
        tally: Tally,
        *,
        max_events: int,
        max_bytes: int,
        pause: Callable[[int], float] | None = None,
    ) -> None:
        """Join a feed to a store.

        Args:
            application: owns the store.
            feed: what to read.
            tally: counts; may be shared.
            max_events: the most events of one message.
            max_bytes: the most bytes of one message.
            pause: gives the seconds to wait after so many failures in a row.
        """
        self._application = application
        self._feed = feed
        self._tally = tally
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._pause = pause or pause_after
        self._failures = 0
        self._purge_due: float | None = None

    async def run(self, stopping: asyncio.Event, *, drain: bool = False) -> None:
        """Read until told to stop; the batch in hand is finished.

        Args:
            stopping: tells to stop.
            drain: whether to end by itself once the broker has nothing more.

        Raises:
            BrokerRefusedError: if the broker does not accept the credentials.
            BrokerSetupError: if what should be read is missing there.
            PartitionTakenError: if another consumer has taken over.
            StoreError: if the store needs attention before it can go on.
        """
        try:
            while not stopping.is_set():
                try:
                    await self._feed.open(self._position)
                    _log.info("reading", source=self._feed.name)
                    if await self._read(stopping, drain=drain):
                        return
                except Exception as error:  # noqa: BLE001 - whatever it is, nothing is skipped
                    await self._recover(error, stopping)
        finally:
            with suppress(BrokerUnreachableError):
                await self._feed.close()

    async def _read(self, stopping: asyncio.Event, *, drain: bool) -> bool:
        """Store batch after batch; tells whether the feed is drained, if that is the end."""
        while not stopping.is_set():
            batch = await self._feed.batch()
            if batch is not None:
                await self._take(batch)
            elif drain and await self._feed.is_drained():
                return True
            await self._purge()
        return False

    async def _take(self, batch: Batch) -> None:
        """Store a batch, and acknowledge it."""
        rules = self._application.event_rules(self._max_events)
        decoding = await to_thread.run_sync(decode_messages, batch.messages, rules, self._max_bytes)
        for poison in decoding.poison:
            await self._bury(batch, poison)
        advance = Advance(batch.source, batch.behind, batch.last)
        ingestor = self._application.ingestor
        outcome = await to_thread.run_sync(
            lambda: ingestor.apply(ingestor.pseudonymize(decoding.events), advance)
        )
        self._count(batch, len(decoding.events), len(decoding.poison), outcome)
        await self._feed.acknowledge(batch)

    async def _bury(self, batch: Batch, poison: Poison) -> None:
        # First there, then passed over: a message that is buried twice is lost less than one that
        # never is.
        await self._feed.bury(batch, poison.message, poison.reason)
        _log.warning(
            "dead letter",
            source=self._feed.name,
            position=poison.message.position,
            reason=poison.reason,
        )

    def _count(self, batch: Batch, events: int, dead: int, outcome: IngestOutcome) -> None:
        self._failures = 0
        self._tally.batches += 1
        self._tally.messages += len(batch.messages)
        self._tally.events += events
        self._tally.dead_letters += dead
        if outcome.erased_users:
            self._purge_due = monotonic()

    async def _purge(self) -> None:
        """Remove the last traces of people whom events erased; what fails is tried again."""
        if self._purge_due is None or monotonic() < self._purge_due:
            return
        try:
            await to_thread.run_sync(self._application.eraser.finish)
            self._purge_due = None
        except StoreError as error:
            self._purge_due = monotonic() + _PURGE_PAUSE_SECONDS
            _log.error("purge failed", **described(error))

    async def _recover(self, error: Exception, stopping: asyncio.Event) -> None:
        """Wait, if trying again may help.

        Raises:
            DpdauError: the error itself, if it does not.
        """
        if isinstance(error, _HOPELESS) or (
            isinstance(error, DpdauError)
            and not isinstance(error, BrokerUnreachableError | StoreError)
        ):
            raise error
        self._failures += 1
        self._tally.interruptions += 1
        seconds = self._pause(self._failures)
        _log.warning(
            "interrupted",
            source=self._feed.name,
            retry_in_seconds=round(seconds, 1),
            **described(error),
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), seconds)

    async def _position(self, source: str) -> int | None:
        def read() -> int | None:
            with self._application.store.read() as reader:
                return position_in(reader, source)

        return await to_thread.run_sync(read)


def pause_after(failures: int) -> float:
    """A random share of a time that doubles, so that many consumers do not come back at once."""
    longest = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 20), _LONGEST_PAUSE_SECONDS)
    return longest * (0.5 + 0.5 * secrets.randbelow(_JITTER_STEPS) / _JITTER_STEPS)
