import threading
from collections.abc import Iterator
from datetime import date

import numpy as np
import pytest

from dpdau.errors import FileUnreadableError, StoreFullError
from dpdau.formats import FileChunk, RefusedLine
from dpdau.model.events import EventColumns
from dpdau.pipeline.bulk import ingest_chunks
from dpdau.pipeline.ingest import IngestOutcome, PseudonymousEvents
from support import Event, columns

TODAY = date(2025, 11, 20)


class FakeIngestor:
    """Keeps the sizes of transactions."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.transactions: list[int] = []
        self.failure = failure

    def pseudonymize(self, events: EventColumns) -> PseudonymousEvents:
        users = np.array([int(user_id) for user_id in events.user_ids], dtype=np.uint64)
        return PseudonymousEvents(users, events.days, events.adds, events.whole_user)

    def apply(self, events: PseudonymousEvents) -> IngestOutcome:
        if self.failure is not None:
            raise self.failure
        self.transactions.append(len(events))
        return IngestOutcome(len(events), 0, 0)


def chunk(events: int, *refused: RefusedLine, bytes_read: int = 0) -> FileChunk:
    rows = columns([Event(str(number), TODAY) for number in range(events)])
    return FileChunk(rows, refused, bytes_read, events + len(refused))


def ingest(
    ingestor: FakeIngestor, chunks: Iterator[FileChunk]
) -> tuple[int, list[RefusedLine], list[int]]:
    """How many were stored, what was refused, and the progress that was told."""
    refused: list[RefusedLine] = []
    progress: list[int] = []
    stored = ingest_chunks(ingestor, chunks, refused.append, progress.append, group_events=10)  # type: ignore[arg-type]
    return stored, refused, progress


def test_chunks_share_transactions_that_hold_at_least_the_size_of_a_group() -> None:
    ingestor = FakeIngestor()
    sizes = [4, 4, 4, 25, 1, 0]
    stored, _, progress = ingest(
        ingestor, (chunk(size, bytes_read=at) for at, size in enumerate(sizes, 1))
    )
    assert stored == sum(sizes)
    assert ingestor.transactions == [12, 25, 1]
    assert progress == [3, 4, 6]


def test_a_group_that_is_just_full_is_stored_without_another_chunk() -> None:
    ingestor = FakeIngestor()
    ingest(ingestor, iter([chunk(4), chunk(6), chunk(1)]))
    assert ingestor.transactions == [10, 1]


class SamplingIngestor(FakeIngestor):
    """Keeps one user in two."""

    def pseudonymize(self, events: EventColumns) -> PseudonymousEvents:
        everyone = super().pseudonymize(events)
        return everyone.select(everyone.pseudonyms % 2 == 0)


def test_events_of_people_outside_of_a_sample_count_as_accepted() -> None:
    ingestor = SamplingIngestor()
    stored, _, _ = ingest(ingestor, iter([chunk(8), chunk(12)]))
    assert stored == 20
    assert ingestor.transactions == [10]


def test_a_file_without_events_opens_no_transaction_and_tells_of_its_refused_lines() -> None:
    ingestor = FakeIngestor()
    line = RefusedLine(1, "is no event", "x")
    assert ingest(ingestor, iter([chunk(0, line)])) == (0, [line], [])
    assert ingestor.transactions == []


def test_the_next_group_is_read_while_one_is_written() -> None:
    read_ahead = threading.Event()

    class Waiting(FakeIngestor):
        def apply(self, events: PseudonymousEvents) -> IngestOutcome:
            assert read_ahead.wait(10)
            return super().apply(events)

    def chunks() -> Iterator[FileChunk]:
        yield chunk(10)
        read_ahead.set()
        yield chunk(10)

    assert ingest(Waiting(), chunks())[0] == 20


def test_what_was_read_before_an_error_is_stored() -> None:
    def chunks() -> Iterator[FileChunk]:
        yield chunk(12)
        yield chunk(3)
        raise FileUnreadableError(__file__, "it is cut short")  # type: ignore[arg-type]

    ingestor = FakeIngestor()
    with pytest.raises(FileUnreadableError, match="cut short"):
        ingest(ingestor, chunks())
    assert ingestor.transactions == [12, 3]


def test_an_error_with_nothing_before_it_opens_no_transaction() -> None:
    def chunks() -> Iterator[FileChunk]:
        yield chunk(10)
        raise FileUnreadableError(__file__, "it is cut short")  # type: ignore[arg-type]

    ingestor = FakeIngestor()
    with pytest.raises(FileUnreadableError, match="cut short"):
        ingest(ingestor, chunks())
    assert ingestor.transactions == [10]


def test_a_store_that_fails_ends_the_reading() -> None:
    endless = iter(lambda: chunk(10), None)
    with pytest.raises(StoreFullError):
        ingest(FakeIngestor(StoreFullError()), endless)
