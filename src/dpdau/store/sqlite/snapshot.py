"""What is kept in memory of the file, so that look-ups and counts need not read it again.

A snapshot belongs to one generation of the file, the number of transactions that changed users,
tombstones or membership. It is not changed: a transaction makes the next one, and a reader uses
the one of the generation that it sees. Other processes are noticed by a generation that this one
did not make; then days are read again, and of the users only the pages that changed.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from dpdau.store.key_index import KeyIndex
from dpdau.store.sqlite.deltas import Deltas
from dpdau.store.sqlite.pages import PAGE_RECORDS, USERS, Pages
from dpdau.store.sqlite.session import Session
from dpdau.store.sqlite.shards import Day
from dpdau.store.sqlite.unions import Unions

__all__ = ["MAX_DAYS", "Snapshot", "SnapshotCache"]

# About 1.2 MB each for ten million users.
MAX_DAYS = 96

# A reader may still be in a generation that a few commits have passed.
_KEPT_GENERATIONS = 8

# Beyond this, reading all of them again is quicker.
_MAX_REFRESHED_PAGES = 32


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of one generation; what is None or missing has not been read yet.

    Attributes:
        generation: of the file.
        users: pseudonym → user index.
        tombstones: pseudonym → number of the record.
        days: who was active on each, before the deltas.
        deltas: what has changed of that since.
        unions: of days; the same object in all snapshots that follow.
    """

    generation: int
    users: KeyIndex | None = None
    tombstones: KeyIndex | None = None
    days: Mapping[int, Day] = field(default_factory=dict)
    deltas: Deltas | None = None
    unions: Unions = field(default_factory=Unions, compare=False)

    def with_days(self, days: Mapping[int, Day]) -> "Snapshot":
        """The same with these days; the oldest of too many are left out."""
        known = {**self.days, **days}
        return replace(self, days={day: known[day] for day in sorted(known)[-MAX_DAYS:]})


class SnapshotCache:
    """The newest snapshots of a file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._commit = threading.Lock()
        self._kept: dict[int, Snapshot] = {}

    @contextmanager
    def committing(self) -> Iterator[None]:
        """Commit and keep the new snapshot within this, so that nobody has to read it again."""
        with self._commit:
            yield

    def at(self, session: Session) -> Snapshot:
        """The snapshot of the generation that a session sees."""
        generation = session.counter("generation")
        found = self._kept.get(generation)
        if found is None:
            # Perhaps a commit of this process is done and its snapshot about to be kept.
            with self._commit:
                found = self._kept.get(generation)
        return found or self._succeeding(session, generation)

    def keep(self, snapshot: Snapshot) -> None:
        """Remember a snapshot, in place of one of the same generation that knew less."""
        with self._lock:
            kept = {**self._kept, snapshot.generation: snapshot}
            for generation in sorted(kept)[:-_KEPT_GENERATIONS]:
                del kept[generation]
            self._kept = kept

    def _succeeding(self, session: Session, generation: int) -> Snapshot:
        """What an earlier snapshot says of a generation that another process made."""
        earlier = [kept for kept in self._kept.values() if kept.generation < generation]
        newest = max(earlier, key=lambda kept: kept.generation, default=None)
        users = None if newest is None else _refreshed(session, newest)
        snapshot = Snapshot(generation, users=users)
        self.keep(snapshot)
        return snapshot


def _refreshed(session: Session, former: Snapshot) -> KeyIndex | None:
    """The users of a former snapshot after other processes changed some of their pages."""
    users = former.users
    if users is None:
        return None
    for count, (first, records) in enumerate(
        Pages(session, USERS).changed_after(former.generation)
    ):
        if count == _MAX_REFRESHED_PAGES:
            return None
        users = users.put(users.keys_at(first, first + PAGE_RECORDS - 1))
        held = np.flatnonzero(records["pseudonym"])
        users = users.put(records["pseudonym"][held], (first + held).astype(np.uint32))
    return users
