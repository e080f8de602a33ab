"""Ingestion of files: large transactions, and the next one read while one is written."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dpdau.formats import FileChunk, RefusedLine
from dpdau.pipeline.ingest import Ingestor, PseudonymousEvents

__all__ = ["ingest_chunks"]

_GROUP_EVENTS = 400_000


@dataclass(frozen=True, slots=True)
class _Group:
    events: PseudonymousEvents
    size: int
    bytes_read: int


def ingest_chunks(
    ingestor: Ingestor,
    chunks: Iterable[FileChunk],
    refuse: Callable[[RefusedLine], None],
    reached: Callable[[int], None],
    *,
    group_events: int = _GROUP_EVENTS,
) -> int:
    """Store the events of a file; what was read before an error is stored before it is raised.

    Args:
        ingestor: applies a group of events in one transaction.
        chunks: parts of the file, read on a thread of their own.
        refuse: takes every refused line, on that thread.
        reached: is told of how many bytes have been read and stored.
        group_events: a transaction takes chunks until it holds at least this many events.

    Returns:
        How many events were accepted; where a sample of the users is kept, of everyone.
    """
    accepted = 0
    groups = _groups(ingestor, chunks, refuse, group_events)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="dpdau-reader") as reader:
        ahead = reader.submit(next, groups, None)
        while (group := ahead.result()) is not None:
            ahead = reader.submit(next, groups, None)
            ingestor.apply(group.events)
            accepted += group.size
            reached(group.bytes_read)
    return accepted


def _groups(
    ingestor: Ingestor,
    chunks: Iterable[FileChunk],
    refuse: Callable[[RefusedLine], None],
    group_events: int,
) -> Iterator[_Group]:
    gathered: list[PseudonymousEvents] = []
    size = bytes_read = 0
    failure: Exception | None = None
    try:
        for chunk in chunks:
            for line in chunk.refused_lines:
                refuse(line)
            gathered.append(ingestor.pseudonymize(chunk.events))
            size += len(chunk.events)
            bytes_read = chunk.bytes_read
            if size >= group_events:
                yield _Group(PseudonymousEvents.concatenate(gathered), size, bytes_read)
                gathered, size = [], 0
    except Exception as error:  # noqa: BLE001 - raised again behind what came before it
        failure = error
    if size:
        yield _Group(PseudonymousEvents.concatenate(gathered), size, bytes_read)
    if failure is not None:
        raise failure
