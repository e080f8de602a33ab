import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import date

import pytest

from dpdau.errors import OverloadedError, StoreFullError
from dpdau.model.events import EventColumns
from dpdau.pipeline import writer as module
from dpdau.pipeline.ingest import IngestOutcome, PseudonymousEvents
from dpdau.pipeline.writer import GroupCommitter, GroupReport
from support import Event, columns

TODAY = date(2025, 11, 20)


class FakeIngestor:
    """Keeps the sizes of groups; waits for `proceed` before each commit."""

    def __init__(self) -> None:
        self.proceed = threading.Event()
        self.started = threading.Event()
        self.groups: list[int] = []
        self.failure: Exception | None = None

    def pseudonymize(self, events: EventColumns) -> PseudonymousEvents:
        return PseudonymousEvents(
            events.days.astype("u8"), events.days, events.adds, events.whole_user
        )

    def apply(self, events: PseudonymousEvents) -> IngestOutcome:
        self.started.set()
        assert self.proceed.wait(10)
        if self.failure is not None:
            raise self.failure
        self.groups.append(len(events))
        return IngestOutcome(len(events), 0, 0)


@pytest.fixture
def ingestor() -> Iterator[FakeIngestor]:
    fake = FakeIngestor()
    yield fake
    fake.proceed.set()


def batch(size: int) -> EventColumns:
    return columns([Event(f"user-{number}", TODAY) for number in range(size)])


def committer(ingestor: FakeIngestor, **options: int) -> GroupCommitter[Future[None]]:
    options = {"max_waiting_events": 1_000, **options}
    return GroupCommitter(ingestor, **options)  # type: ignore[arg-type]


def submit(writer: GroupCommitter[Future[None]], size: int) -> Future[None]:
    """What a batch of that size waits for once it is submitted."""
    future: Future[None] = Future()
    writer.submit(batch(size), future)
    return future


def test_a_batch_is_acknowledged_only_after_its_commit(ingestor: FakeIngestor) -> None:
    with committer(ingestor) as writer:
        future = submit(writer, 3)
        assert ingestor.started.wait(10)
        assert not future.done()
        assert writer.waiting_events == 3
        ingestor.proceed.set()
        future.result(10)
        assert writer.waiting_events == 0


def commit_behind_one(ingestor: FakeIngestor, sizes: list[int], **options: int) -> list[int]:
    """The groups in which batches are committed that arrive during the commit of one event."""
    with committer(ingestor, **options) as writer:
        first = submit(writer, 1)
        assert ingestor.started.wait(10)
        rest = [submit(writer, size) for size in sizes]
        ingestor.proceed.set()
        for future in [first, *rest]:
            future.result(10)
    return ingestor.groups[1:]


def test_what_arrives_during_a_commit_shares_the_next_one(ingestor: FakeIngestor) -> None:
    assert commit_behind_one(ingestor, [2, 2, 2, 2]) == [8]


def test_a_group_stops_growing_at_its_size(ingestor: FakeIngestor) -> None:
    assert commit_behind_one(ingestor, [3, 3, 3], max_group_events=4) == [6, 3]


def test_behind_a_group_of_several_the_writer_waits_for_the_rest_of_them(
    ingestor: FakeIngestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUIET_SECONDS", 60)
    monkeypatch.setattr(module, "_MOST_GATHERING_SECONDS", 60)
    ingestor.proceed.set()
    with committer(ingestor, max_group_events=4) as writer:
        writer._is_crowded = True  # noqa: SLF001 - what a former group leaves behind
        futures = [submit(writer, 2), submit(writer, 2)]
        for future in futures:
            future.result(10)
        writer._is_crowded = False  # noqa: SLF001
        submit(writer, 1).result(10)
    assert ingestor.groups == [4, 1]


def test_the_writer_does_not_wait_for_ever_while_others_come(
    ingestor: FakeIngestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_QUIET_SECONDS", 60)
    monkeypatch.setattr(module, "_MOST_GATHERING_SECONDS", 0)
    ingestor.proceed.set()
    with committer(ingestor) as writer:
        writer._is_crowded = True  # noqa: SLF001 - what a former group leaves behind
        submit(writer, 2).result(10)


def test_a_failed_commit_fails_everyone_in_it_and_the_next_goes_on(
    ingestor: FakeIngestor,
) -> None:
    ingestor.failure = StoreFullError()
    reports: list[GroupReport] = []
    ingestor.proceed.set()
    with GroupCommitter(ingestor, max_waiting_events=100, report=reports.append) as writer:  # type: ignore[arg-type]
        with pytest.raises(StoreFullError):
            submit(writer, 2).result(10)
        ingestor.failure = None
        submit(writer, 2).result(10)
        assert writer.waiting_events == 0
    assert [report.outcome for report in reports] == [None, IngestOutcome(2, 0, 0)]


def test_a_group_that_cannot_be_joined_is_told_and_the_next_goes_on(
    ingestor: FakeIngestor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(_: object) -> None:
        raise MemoryError

    ingestor.proceed.set()
    with committer(ingestor) as writer:
        with monkeypatch.context() as patch:
            patch.setattr("dpdau.pipeline.writer.PseudonymousEvents.concatenate", no_memory)
            with pytest.raises(MemoryError):
                submit(writer, 2).result(10)
        assert writer.waiting_events == 0
        submit(writer, 2).result(10)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_answers_its_callers_and_nobody_waits_for_it(
    ingestor: FakeIngestor,
) -> None:
    def fail(_: GroupReport) -> None:
        raise MemoryError

    ingestor.proceed.set()
    writer = GroupCommitter(ingestor, max_waiting_events=100, report=fail)  # type: ignore[arg-type]
    submit(writer, 2).result(10)
    writer._thread.join(10)  # noqa: SLF001 - it ends by itself
    assert not writer.is_running
    with pytest.raises(OverloadedError):
        submit(writer, 2)
    writer.close()


def test_beyond_the_limit_batches_are_refused_and_nothing_is_queued(
    ingestor: FakeIngestor,
) -> None:
    with committer(ingestor, max_waiting_events=5) as writer:
        accepted = submit(writer, 4)
        with pytest.raises(OverloadedError, match="Too many events wait"):
            submit(writer, 2)
        assert writer.waiting_events == 4
        ingestor.proceed.set()
        accepted.result(10)
        submit(writer, 2).result(10)


def test_a_batch_larger_than_the_limit_passes_when_nothing_waits(ingestor: FakeIngestor) -> None:
    ingestor.proceed.set()
    with committer(ingestor, max_waiting_events=5) as writer:
        submit(writer, 50).result(10)
    assert ingestor.groups == [50]


def test_closing_writes_what_waits_and_refuses_what_comes_later(ingestor: FakeIngestor) -> None:
    writer = committer(ingestor)
    first = submit(writer, 1)
    assert ingestor.started.wait(10)
    second = submit(writer, 1)
    closing = threading.Thread(target=writer.close)
    closing.start()
    ingestor.proceed.set()
    closing.join(10)
    assert first.done()
    assert second.done()
    with pytest.raises(OverloadedError):
        submit(writer, 1)
    writer.close()


def test_a_caller_who_goes_away_stops_neither_the_writer_nor_the_others(
    ingestor: FakeIngestor,
) -> None:
    with committer(ingestor) as writer:
        submit(writer, 1)
        assert ingestor.started.wait(10)
        gone, other = submit(writer, 2), submit(writer, 3)
        assert gone.cancel()
        ingestor.proceed.set()
        other.result(10)
    assert ingestor.groups == [1, 5]


@pytest.mark.parametrize("failure", [None, StoreFullError()])
def test_all_callers_of_a_commit_are_answered_by_one_call(
    ingestor: FakeIngestor, failure: Exception | None
) -> None:
    answered: queue.Queue[tuple[Sequence[Future[None]], BaseException | None]] = queue.Queue()
    ingestor.failure = failure
    with GroupCommitter[Future[None]](
        ingestor,  # type: ignore[arg-type]
        max_waiting_events=100,
        answer=lambda waiters, why: answered.put((waiters, why)),
    ) as writer:
        first = submit(writer, 1)
        assert ingestor.started.wait(10)
        rest = [submit(writer, 2) for _ in range(3)]
        ingestor.proceed.set()
    assert [answered.get_nowait() for _ in range(2)] == [([first], failure), (rest, failure)]
    assert answered.empty()
    assert not any(each.done() for each in [first, *rest])
