"""Erasing from a file that is not in use, such as a backup, without reading all of it into memory.

What is in memory of such a file are only the people concerned: their pseudonyms are looked for by
reading the pages of users once, and a transaction then finds them and nobody else.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpdau.pipeline.ports import Tombstones
from dpdau.pipeline.restoring import reapply
from dpdau.store.key_index import KeyIndex
from dpdau.store.sqlite.connections import connect, prepare
from dpdau.store.sqlite.faults import translated
from dpdau.store.sqlite.pages import TOMBSTONES, USERS, PageKind, Pages
from dpdau.store.sqlite.session import Session
from dpdau.store.sqlite.snapshot import Snapshot
from dpdau.store.sqlite.transaction import SqliteTransaction

__all__ = ["erase_from", "note_in"]


def erase_from(
    path: Path, tombstones: Tombstones, key_check: str | None, busy_timeout_seconds: float
) -> None:
    """Take people out of a file, and leave their tombstones in it.

    Args:
        path: a file that nobody has open; its schema is brought to the newest version.
        tombstones: who was erased from the store that it is a copy of.
        key_check: the key-check value of that store.
        busy_timeout_seconds: how long to wait for another process's lock.

    Raises:
        StoreError: if the file is no store, or cannot be changed; then nothing was.
    """
    with _changing(path, busy_timeout_seconds) as session:
        generation = session.counter("generation")
        indices = np.unique(tombstones.user_indices)
        users = _found(session, USERS, tombstones.pseudonyms, indices)
        erased = _found(session, TOMBSTONES, tombstones.pseudonyms, indices[:0])
        transaction = SqliteTransaction(session, Snapshot(generation, users, erased), _forget)
        reapply(transaction, tombstones, key_check)
        transaction.finished()


def note_in(path: Path, name: str, value: str, busy_timeout_seconds: float) -> None:
    """Keep a named value in a file that nobody has open."""
    with _changing(path, busy_timeout_seconds) as session:
        session.run("put_meta", name=name, value=value)


@contextmanager
def _changing(path: Path, busy_timeout_seconds: float) -> Iterator[Session]:
    """One transaction on a file that has no write-ahead log before or after."""
    with translated(path, busy_timeout_seconds):
        prepare(path, busy_timeout_seconds, journal="DELETE")
        with closing(connect(path, busy_timeout_seconds)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield Session(connection, path)
            connection.execute("COMMIT")


def _found(
    session: Session, kind: PageKind, pseudonyms: NDArray[np.uint64], numbers: NDArray[np.int64]
) -> KeyIndex:
    """Where these pseudonyms stand in the pages of a file, and those with these numbers.

    Args:
        session: the transaction.
        kind: of the pages.
        pseudonyms: n pseudonyms, ascending.
        numbers: m numbers of records, ascending.
    """
    keys, slots = [np.empty(0, dtype=np.uint64)], [np.empty(0, dtype=np.uint32)]
    for first, records in Pages(session, kind).changed_after(-1):
        held = records["pseudonym"]
        wanted = _among(held, pseudonyms)
        wanted |= _among(np.arange(first, first + len(held)), numbers)
        at = np.flatnonzero(wanted & (held > 0))
        keys.append(held[at])
        slots.append((first + at).astype(np.uint32))
    return KeyIndex().put(np.concatenate(keys), np.concatenate(slots))


def _among(values: NDArray[np.generic], ascending: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Which values are among some ascending ones."""
    if not len(ascending):
        return np.zeros(len(values), dtype=np.bool_)
    at = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    found: NDArray[np.bool_] = ascending[at] == values
    return found


def _forget(_: Snapshot) -> None:
    """Keep nothing in memory."""
