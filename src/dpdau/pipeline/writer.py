"""Grouped commits: many callers, one writing thread, one fsync for all that waits.

A caller hears of a batch only after the transaction that holds its events is durable. While one
group is being synced to disk, the next one gathers, so throughput grows with load and an idle
service answers after a single commit. All callers of a group are told at once, since to wake the
event loop for each costs more than to decode a hundred events. Callers who were answered together
tend to come back together, so behind a group of several the writer waits until nobody has come for
a millisecond: it commits half as often, and does not compete with the event loop for the
interpreter while that decodes.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from dpdau.errors import OverloadedError
from dpdau.model.events import EventColumns
from dpdau.pipeline.ingest import Ingestor, IngestOutcome, PseudonymousEvents

__all__ = ["GroupCommitter", "GroupReport", "Waiter", "settle"]

_DEFAULT_GROUP_EVENTS = 20_000
# Longer than it takes one of several callers to come back, shorter than a commit.
_QUIET_SECONDS = 0.001
_MOST_GATHERING_SECONDS = 0.008


class Waiter(Protocol):
    """What a caller waits for; the futures of `asyncio` and of `concurrent` are waiters."""

    def done(self) -> bool:
        """Whether nobody waits for it any more."""

    def set_result(self, result: None, /) -> None:
        """Say that the batch is durable."""

    def set_exception(self, exception: BaseException, /) -> None:
        """Say that nothing of the batch was stored, and why."""


_Waiter = TypeVar("_Waiter", bound=Waiter)


def settle(waiters: Sequence[Waiter], failure: BaseException | None) -> None:
    """Answer the callers of one commit, on the thread on which they wait.

    Args:
        waiters: theirs; those that are done already are left alone.
        failure: why nothing was stored; None if all is durable.
    """
    for waiter in waiters:
        if waiter.done():
            continue
        if failure is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(failure)


@dataclass(frozen=True, slots=True)
class GroupReport:
    """What one commit did; for operators only.

    Attributes:
        outcome: what became of the events; None if the store failed.
        batches: how many callers shared the commit.
        seconds: how long applying and committing took.
    """

    outcome: IngestOutcome | None
    batches: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Batch(Generic[_Waiter]):
    events: PseudonymousEvents
    waiter: _Waiter


class GroupCommitter(Generic[_Waiter]):
    """Writes what callers submit, in order of arrival, several batches in one transaction."""

    def __init__(
        self,
        ingestor: Ingestor,
        *,
        max_waiting_events: int,
        max_group_events: int = _DEFAULT_GROUP_EVENTS,
        report: Callable[[GroupReport], None] = lambda _: None,
        answer: Callable[[Sequence[_Waiter], BaseException | None], None] = settle,
    ) -> None:
        """Start the writing thread.

        Args:
            ingestor: applies a group.
            max_waiting_events: beyond this many events in the queue, batches are refused.
            max_group_events: a commit takes batches until it holds at least this many events.
            report: is told of every commit, on the writing thread.
            answer: sees to it that the callers of a commit are answered as by `settle`, and is
                called on the writing thread.
        """
        self._ingestor = ingestor
        self._max_waiting_events = max_waiting_events
        self._max_group_events = max_group_events
        self._report = report
        self._answer = answer
        self._queue: queue.SimpleQueue[_Batch[_Waiter] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting_events = 0
        self._closed = False
        self._is_crowded = False
        self._thread = threading.Thread(target=self._run, name="dpdau-writer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def waiting_events(self) -> int:
        """How many events have been submitted and not yet committed."""
        return self._waiting_events

    @property
    def is_running(self) -> bool:
        """Whether the writing thread is there to commit what is submitted."""
        return self._thread.is_alive()

    def submit(self, events: EventColumns, waiter: _Waiter) -> None:
        """Queue a batch, from any thread. A caller who goes away does not stop it.

        Args:
            events: the batch.
            waiter: gets its result once the batch is durable, or a `StoreError` if nothing of it
                was stored; left alone if it is done by then.

        Raises:
            OverloadedError: if too many events wait already; nothing was queued.
        """
        batch = _Batch(self._ingestor.pseudonymize(events), waiter)
        # Of a sample's store, most events have ended by now.
        size = len(batch.events)
        with self._lock:
            full = self._waiting_events + size > self._max_waiting_events
            # Nobody would ever be answered by a thread that is not there.
            if self._closed or not self.is_running or (full and self._waiting_events):
                raise OverloadedError
            self._waiting_events += size
            self._queue.put(batch)

    def close(self) -> None:
        """Write what waits, then stop; what is submitted later is refused."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (group := self._gather()) is not None:
            self._commit(group)

    def _gather(self) -> list[_Batch[_Waiter]] | None:
        """The next group: everything that waits, up to the group's size; None at the end."""
        batch = self._queue.get()
        if batch is None:
            return None
        group, size = [batch], len(batch.events)
        latest = time.monotonic() + _MOST_GATHERING_SECONDS
        while size < self._max_group_events:
            try:
                wait = self._is_crowded and time.monotonic() < latest
                batch = self._queue.get(block=wait, timeout=_QUIET_SECONDS)
            except queue.Empty:
                break
            if batch is None:
                self._queue.put(None)
                break
            group.append(batch)
            size += len(batch.events)
        self._is_crowded = len(group) > 1
        return group

    def _commit(self, group: list[_Batch[_Waiter]]) -> None:
        started = time.perf_counter()
        outcome: IngestOutcome | None = None
        failure: BaseException | None = None
        try:
            events = PseudonymousEvents.concatenate([batch.events for batch in group])
            outcome = self._ingestor.apply(events)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the callers must hear it
            failure = error
        with self._lock:
            self._waiting_events -= sum(len(batch.events) for batch in group)
        try:
            self._report(GroupReport(outcome, len(group), time.perf_counter() - started))
        finally:
            self._answer([batch.waiter for batch in group], failure)
