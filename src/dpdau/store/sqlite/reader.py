"""Reading from SQLite: one transaction's consistent view."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.model.bitmaps import bitmap_of
from dpdau.model.ledger import LedgerKind, LedgerRow
from dpdau.model.pairs import NOTHING
from dpdau.model.releases import Metric
from dpdau.pipeline.ports import OUTDATED, Tombstones
from dpdau.store.key_index import KeyIndex
from dpdau.store.records import RecordReader, ledger_row_of
from dpdau.store.sharding import NOBODY, parts
from dpdau.store.sqlite.cells import Cells
from dpdau.store.sqlite.deltas import DeltaLog, Deltas
from dpdau.store.sqlite.pages import TOMBSTONES, USERS, Pages
from dpdau.store.sqlite.session import Session
from dpdau.store.sqlite.shards import Day, Shards
from dpdau.store.sqlite.snapshot import MAX_DAYS, Snapshot

__all__ = ["SqliteReader"]


class SqliteReader(RecordReader):
    """What a connection sees within its transaction."""

    _session: Session

    def __init__(
        self, session: Session, snapshot: Snapshot, learn: Callable[[Snapshot], None]
    ) -> None:
        """Look at a transaction's view.

        Args:
            session: the transaction.
            snapshot: what is in memory of the generation that it sees.
            learn: is given the snapshot each time that it has become more complete.
        """
        self._session = session
        self._snapshot = snapshot
        self._learn = learn
        self._cells = Cells(session)
        self._shards = Shards(session)
        self._delta_log = DeltaLog(session)
        self._user_pages = Pages(session, USERS)
        self._tombstone_pages = Pages(session, TOMBSTONES)

    def user_indices(self, pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of each pseudonym, in the same order; -1 where it is unknown."""
        return self._users().find(pseudonyms)

    def known_users(self) -> BitMap:
        """The indices that someone has."""
        return bitmap_of(np.sort(self._users().slots()))

    def pseudonyms_of(self, user_indices: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The pseudonym of each index, in the same order; 0 where nobody has it."""
        pseudonyms: NDArray[np.uint64] = self._user_pages.read(user_indices)["pseudonym"]
        return pseudonyms

    def index_bound(self) -> int:
        """The least user index above all that were ever given out."""
        return self._session.counter("next_number", name="next_user_index")

    def tombstones(self, pseudonyms: NDArray[np.uint64] | None = None) -> Tombstones:
        """Those of these pseudonyms that have a tombstone; by default every tombstone."""
        index = self._tombstone_numbers()
        numbers = index.slots().astype(np.int64) if pseudonyms is None else index.find(pseudonyms)
        records = self._tombstone_pages.read(np.unique(numbers[numbers >= 0]))
        records = records[np.argsort(records["pseudonym"])]
        return Tombstones(
            records["pseudonym"],
            records["erased_on"],
            records["recorded_on"],
            records["user_index"],
        )

    def members(self, first_day: int, last_day: int, *, among: BitMap | None = None) -> BitMap:
        """The indices of everyone active on any of these days (ordinals, both included)."""
        if among is not None:
            return self._members_among(first_day, last_day, among)
        changes = self._deltas().changes_between(first_day, last_day)
        joined = BitMap.union(BitMap(), *(change.joins for change in changes.values()))
        left = {day: change.leaves for day, change in changes.items() if change.leaves}
        if last_day - first_day >= MAX_DAYS:
            return joined | self._shards.members(first_day, last_day, left)
        days = self._days(range(first_day, last_day + 1))
        leaving = BitMap.union(BitMap(), *left.values()) - joined
        # They are few, and to look for them on every day costs less than a copy of one.
        stayed = (
            (day.everyone() & leaving) - left.get(number, NOBODY) for number, day in days.items()
        )
        leaving -= BitMap.union(BitMap(), *stayed)
        members = self._snapshot.unions.of(days) | joined
        members -= leaving
        return members

    def days(self) -> list[int]:
        """The ordinals of the days that anyone was active on, ascending, and perhaps others."""
        changed = self._deltas().days() - {OUTDATED}
        return sorted(changed.union(self._shards.all_days()))

    def ledger(
        self,
        *,
        metric: Metric | None = None,
        period: str | None = None,
        kind: LedgerKind | None = None,
        after: int = 0,
    ) -> list[LedgerRow]:
        """The ledger's rows, oldest first, optionally of one metric, period or kind."""
        indexed = metric is not None and period is not None
        name = "ledger_of_period" if indexed else "ledger"
        return [
            ledger_row_of(row)
            for row in self._session.rows(
                name, metric=metric, period=period, kind=kind, after=after
            )
        ]

    def _unpacked(self, content: bytes) -> bytes:
        """What a cell holds."""
        return self._cells.content(content)

    def warm(self) -> None:
        """Read what is kept in memory: who is known, who was erased, and the newest days."""
        self._users()
        self._tombstone_numbers()
        self._deltas()
        newest = self._shards.newest_day()
        if newest is not None:
            self._days(range(newest - MAX_DAYS + 1, newest + 1))

    def _users(self) -> KeyIndex:
        users = self._snapshot.users
        if users is None:
            users = KeyIndex.of(self._user_pages.pseudonyms())
            self._learned(replace(self._snapshot, users=users))
        return users

    def _tombstone_numbers(self) -> KeyIndex:
        tombstones = self._snapshot.tombstones
        if tombstones is None:
            tombstones = KeyIndex.of(self._tombstone_pages.pseudonyms())
            self._learned(replace(self._snapshot, tombstones=tombstones))
        return tombstones

    def _deltas(self) -> Deltas:
        """What has changed of who was active since the shards were written."""
        deltas = self._snapshot.deltas
        if deltas is None:
            deltas = self._delta_log.read()
            self._learned(replace(self._snapshot, deltas=deltas))
        return deltas

    def _days(self, wanted: Collection[int]) -> dict[int, Day]:
        """Who was active on each of these days before the deltas; ascending and not too many."""
        missing = [day for day in wanted if day not in self._snapshot.days]
        read = self._shards.of_days(missing[0], missing[-1]) if missing else {}
        days = {day: self._snapshot.days.get(day) or read.get(day, Day()) for day in wanted}
        if missing:
            self._learned(self._snapshot.with_days({day: days[day] for day in missing}))
        return days

    def _members_among(self, first_day: int, last_day: int, users: BitMap) -> BitMap:
        """Those of these users who were active, one shard in memory at a time."""
        changes = self._deltas().parted(users)[0].changes_between(first_day, last_day)
        active = BitMap()
        for shard, wanted in parts(users).items():
            for day, members in self._days_of_shard(shard):
                if first_day <= day <= last_day:
                    active |= (members & wanted) - changes.get(day, NOTHING).leaves
        for change in changes.values():
            active |= change.joins
        return active

    def _days_of_shard(self, shard: int) -> Iterator[tuple[int, BitMap]]:
        """Each day on which anyone of a shard may have been active before the deltas, and who."""
        kept, unread = self._snapshot.days, []
        for day in self._shards.days_of(shard):
            if day in kept:
                yield day, kept[day].get(shard, NOBODY)
            else:
                unread.append(day)
        yield from self._shards.of_shard(shard, unread)

    def _learned(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._learn(snapshot)
