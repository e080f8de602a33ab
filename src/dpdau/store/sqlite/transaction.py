"""Writing to SQLite: the one exclusive transaction."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.model.pairs import Change, Pairs, overlaid, pairs_of_day
from dpdau.model.releases import SeriesKey
from dpdau.pipeline.ports import OUTDATED, SeriesState, Tombstones
from dpdau.store.key_index import KeyIndex
from dpdau.store.records import RecordWriter, series_parameters
from dpdau.store.sharding import NOBODY, parts
from dpdau.store.sqlite.cells import Place
from dpdau.store.sqlite.deltas import Delta, Deltas
from dpdau.store.sqlite.pages import TOMBSTONES, USERS
from dpdau.store.sqlite.reader import SqliteReader
from dpdau.store.sqlite.session import Session
from dpdau.store.sqlite.shards import Day
from dpdau.store.sqlite.snapshot import MAX_DAYS, Snapshot

__all__ = ["SqliteTransaction"]


class SqliteTransaction(SqliteReader, RecordWriter):
    """A view that may also change the file; it sees its own changes."""

    _has_changed = False

    def __init__(
        self, session: Session, snapshot: Snapshot, learn: Callable[[Snapshot], None]
    ) -> None:
        """Begin with what was last committed; arguments as for a reader."""
        super().__init__(session, snapshot, learn)
        # What was changed, until it is stored as one delta.
        self._added: list[Pairs] = []

    def finished(self) -> Snapshot:
        """Store what changed, and give what is in memory of the generation that this makes."""
        if self._added:
            self._settle()
        if self._has_changed:
            self._session.run("put_generation", generation=self._generation)
            return replace(self._snapshot, generation=self._generation)
        return self._snapshot

    def allot_indices(self, pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of each pseudonym (distinct ones), giving a new one to each unknown."""
        indices = self.user_indices(pseudonyms)
        unknown = indices < 0
        if not unknown.any():
            return indices
        wanted = pseudonyms[unknown]
        indices[unknown] = self.tombstones(wanted).indices_of(wanted)
        new = indices < 0
        indices[new] = self._take_numbers("next_user_index", int(new.sum()))
        self._put_users(wanted, indices[unknown])
        return indices

    def adopt_indices(
        self, pseudonyms: NDArray[np.uint64], user_indices: NDArray[np.int64], bound: int
    ) -> None:
        """Let users have indices that another copy of this store gave them."""
        if len(pseudonyms):
            self._put_users(pseudonyms, user_indices)
        self._session.run("raise_number", name="next_user_index", bound=bound)

    def update_members(self, day: int, joins: BitMap, leaves: BitMap) -> None:
        """Make these users active, and those not active, on a day (an ordinal, or `OUTDATED`)."""
        self.update_pairs(pairs_of_day(day, Change(joins, leaves - joins)))

    def update_pairs(self, pairs: Pairs) -> None:
        """Make users active on days, and others not."""
        if len(pairs):
            self._added.append(pairs)

    def erase_members(self, users: BitMap) -> int:
        """Take these users off every day; returns how many (day, user) pairs that removed."""
        # First of all, since what this transaction changed is perhaps merged here.
        deltas = self._deltas()
        after: dict[int, dict[int, BitMap]] = {}
        active: dict[int, BitMap] = {}
        for shard, leaving in parts(users).items():
            for day, members in self._days_of_shard(shard):
                if members.intersect(leaving):
                    after.setdefault(day, {})[shard] = members - leaving
                    active[day] = active.get(day, NOBODY) | (members & leaving)
        for day, shards in after.items():
            self._write_shards(day, shards)
        theirs, others = deltas.parted(users)
        changes = theirs.changes()
        if changes:
            self._reduce_deltas(others)
        for day, change in changes.items():
            active[day] = change.applied_to(active.get(day, NOBODY))
        return sum(len(members) for day, members in active.items() if day != OUTDATED)

    def forget_users(self, pseudonyms: NDArray[np.uint64]) -> None:
        """Remove the pseudonym → index mapping of these users."""
        indices = self.user_indices(pseudonyms)
        known = indices >= 0
        if known.any():
            nobody = np.zeros(1, dtype=USERS.record)
            self._user_pages.write(np.unique(indices[known]), nobody, self._changing())
            gone = np.unique(pseudonyms[known])
            self._snapshot = replace(self._snapshot, users=self._users().put(gone))

    def rename(self, old: NDArray[np.uint64], new: NDArray[np.uint64]) -> None:
        """Let users and tombstones that have an old pseudonym have the new one instead."""
        indices = self.user_indices(old)
        known = indices >= 0
        if known.any():
            self._snapshot = replace(self._snapshot, users=self._users().put(old[known]))
            self._put_users(new[known], indices[known])
        numbers = self._tombstone_numbers().find(old)
        erased = numbers >= 0
        if erased.any():
            records = self._tombstone_pages.read(numbers[erased])
            self._take_in(records, self._tombstone_numbers().find(new[erased]))
            records["pseudonym"] = new[erased]
            self._tombstone_pages.write(numbers[erased], records, self._changing())
            index = self._tombstone_numbers().put(old[erased])
            self._keep_tombstones(index.put(new[erased], numbers[erased].astype(np.uint32)))

    def _take_in(self, records: NDArray[np.void], others: NDArray[np.int64]) -> None:
        """Let records of tombstones have the larger of each column of others, which go.

        Args:
            records: n of them.
            others: n numbers of records; negative for none.
        """
        found = others >= 0
        if not found.any():
            return
        there = self._tombstone_pages.read(others[found])
        for column in ("erased_on", "recorded_on", "user_index"):
            records[column][found] = np.maximum(records[column][found], there[column])
        self._tombstone_pages.write(others[found], np.zeros_like(there), self._changing())

    def put_tombstones(self, tombstones: Tombstones) -> None:
        """Add or replace tombstones, by pseudonym."""
        if not len(tombstones):
            return
        numbers = self._tombstone_numbers().find(tombstones.pseudonyms)
        new = numbers < 0
        numbers[new] = self._take_numbers("next_tombstone", int(new.sum()))
        records = np.empty(len(tombstones), dtype=TOMBSTONES.record)
        records["pseudonym"] = tombstones.pseudonyms
        records["erased_on"] = tombstones.erased_on
        records["recorded_on"] = tombstones.recorded_on
        records["user_index"] = tombstones.user_indices
        self._tombstone_pages.write(numbers, records, self._changing())
        slots = numbers[new].astype(np.uint32)
        self._keep_tombstones(self._tombstone_numbers().put(tombstones.pseudonyms[new], slots))

    def drop_before(self, day: int) -> None:
        """Forget memberships, tombstones and request keys from before this ordinal."""
        deltas = self._deltas()
        if min(deltas.days() - {OUTDATED}, default=day) < day:
            self._reduce_deltas(deltas.since(day))
        if self._shards.drop_before(OUTDATED + 1, day):
            self._changing()
            days = self._snapshot.days.items()
            kept = {known: shards for known, shards in days if known >= day or known == OUTDATED}
            self._snapshot = replace(self._snapshot, days=kept)
        tombstones = self.tombstones()
        expired = tombstones.pseudonyms[tombstones.recorded_on < day]
        if len(expired):
            numbers = self._tombstone_numbers().find(expired)
            nobody = np.zeros(1, dtype=TOMBSTONES.record)
            self._tombstone_pages.write(numbers, nobody, self._changing())
            self._keep_tombstones(self._tombstone_numbers().put(expired))
        self._session.run("forget_requests", day=date.fromordinal(day).isoformat())

    def put_series_state(self, key: SeriesKey, state: SeriesState) -> None:
        """Add or replace the private state of a series."""
        place = self._cells.put(msgspec.msgpack.encode(state), self._series_place(key))
        self._session.run(
            "put_series_place", **series_parameters(key), cell=place.cell, capacity=place.capacity
        )

    def drop_series_state(self, key: SeriesKey) -> None:
        """Remove the private state of a series whose period is complete."""
        place = self._series_place(key)
        self._cells.free([] if place is None else [place])
        self._session.run("drop_series_place", **series_parameters(key))

    @property
    def _generation(self) -> int:
        """The generation that this transaction makes."""
        return self._snapshot.generation + 1

    def _changing(self) -> int:
        """Say that users, tombstones or membership change; returns the generation to come."""
        self._has_changed = True
        return self._generation

    def _learned(self, snapshot: Snapshot) -> None:
        # What this transaction changed is nobody else's until it is committed.
        self._snapshot = snapshot
        if not self._has_changed:
            self._learn(snapshot)

    def _take_numbers(self, name: str, count: int) -> NDArray[np.int64]:
        """Numbers that were never given out before."""
        first = self._session.counter("take_numbers", name=name, count=count)
        return np.arange(first, first + count)

    def _put_users(self, pseudonyms: NDArray[np.uint64], indices: NDArray[np.int64]) -> None:
        records = pseudonyms.astype(np.uint64).view(USERS.record)
        self._user_pages.write(indices, records, self._changing())
        users = self._users().put(pseudonyms, indices.astype(np.uint32))
        self._snapshot = replace(self._snapshot, users=users)

    def _keep_tombstones(self, index: KeyIndex) -> None:
        self._snapshot = replace(self._snapshot, tombstones=index)

    def _deltas(self) -> Deltas:
        """What has changed since the shards were written, by this transaction too."""
        if self._added:
            self._settle()
        return super()._deltas()

    def _settle(self) -> None:
        """Store what was changed as one delta, or merge it with those that wait."""
        pairs = overlaid(self._added)
        self._added = []
        deltas = super()._deltas().followed_by(Delta(pairs))
        if deltas.are_due:
            self._merge(deltas)
        else:
            self._changing()
            self._keep_deltas(self._delta_log.append(deltas))

    def _reduce_deltas(self, kept: Deltas) -> None:
        self._changing()
        self._delta_log.reduce(self._deltas(), kept)
        self._keep_deltas(kept)

    def _keep_deltas(self, deltas: Deltas) -> None:
        self._snapshot = replace(self._snapshot, deltas=deltas)

    def _merge(self, deltas: Deltas) -> None:
        """Write into the shards what the deltas say, and forget them."""
        for day, change in deltas.changes().items():
            self._merge_day(day, change)
        if self._delta_log.clear():
            self._changing()
        self._keep_deltas(Deltas())

    def _merge_day(self, day: int, change: Change) -> None:
        joining, leaving = parts(change.joins), parts(change.leaves)
        wanted = sorted(joining.keys() | leaving.keys())
        before = self._some_shards(day, wanted)
        after = {}
        for shard in wanted:
            members = before.get(shard, NOBODY)
            changed = (members - leaving.get(shard, NOBODY)) | joining.get(shard, NOBODY)
            if changed != members:
                after[shard] = changed
        self._write_shards(day, after)

    def _some_shards(self, day: int, shards: list[int]) -> Mapping[int, BitMap]:
        """Those of these shards in which anyone was active on a day, and perhaps others."""
        days = self._snapshot.days
        if day in days:
            return days[day]
        if len(days) < MAX_DAYS or day > min(days):
            return self._days([day])[day]
        return dict(self._shards.of_day(day, shards))

    def _write_shards(self, day: int, shards: dict[int, BitMap]) -> None:
        if not shards:
            return
        self._changing()
        self._shards.write(day, shards)
        days = self._snapshot.days
        if day in days:
            self._snapshot = self._snapshot.with_days({day: Day({**days[day], **shards})})

    def _series_place(self, key: SeriesKey) -> Place | None:
        row = self._session.row("series_place", **series_parameters(key))
        return None if row is None else Place(*row)
