"""Writing to PostgreSQL: the transaction of one whose turn it is.

Formal guarantees:
    Of transactions that run side by side, each looks up and adds users, and changes membership;
    all else excludes them. They take locks in one order: users by pseudonym, then membership by
    day and shard, each row before it is read for a change. So none waits for one that waits for
    it, and a change is made on what the one before it committed: no update is lost. Where two
    change the same user and day, the one that commits later is the later.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.model.pairs import Pairs, changes_of
from dpdau.model.releases import SeriesKey
from dpdau.pipeline.ports import OUTDATED, SeriesState, Tombstones
from dpdau.store.postgres.reader import PostgresReader, signed
from dpdau.store.records import RecordWriter, erasures_of, series_parameters
from dpdau.store.sharding import NOBODY, parts

__all__ = ["PostgresTransaction"]

_LAST_DAY = date.max.toordinal()


class PostgresTransaction(PostgresReader, RecordWriter):
    """A view that may also change the database; it sees its own changes."""

    def allot_indices(self, pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of each pseudonym (distinct ones), giving a new one to each unknown."""
        indices = self.user_indices(pseudonyms)
        unknown = indices < 0
        if not unknown.any():
            return indices
        wanted = pseudonyms[unknown]
        given = self.tombstones(wanted).indices_of(wanted)
        new = given < 0
        if new.any():
            given[new] = [number for (number,) in self._numbers(int(new.sum()))]
        self._put_users(wanted, given)
        # Another transaction may have been first with some of them.
        indices[unknown] = self.user_indices(wanted)
        return indices

    def adopt_indices(
        self, pseudonyms: NDArray[np.uint64], user_indices: NDArray[np.int64], bound: int
    ) -> None:
        """Let users have indices that another copy of this store gave them."""
        self._put_users(pseudonyms, user_indices)
        self._session.run("raise_index_bound", bound=bound)

    def update_members(self, day: int, joins: BitMap, leaves: BitMap) -> None:
        """Make these users active, and those not active, on a day (an ordinal, or `OUTDATED`)."""
        joining, leaving = parts(joins), parts(leaves)
        if joining:
            nobody = NOBODY.serialize()
            self._session.run("add_shards", day=day, shards=list(joining), nobody=nobody)
        rows = self._session.rows("lock_shards", day=day, shards=list(joining | leaving))
        after = {}
        for shard, content in rows:
            members = self._bitmap(content, day)
            changed = (members - leaving.get(shard, NOBODY)) | joining.get(shard, NOBODY)
            if changed != members:
                after[shard] = changed
        self._write_shards(day, after)

    def update_pairs(self, pairs: Pairs) -> None:
        """Make users active on days, and others not."""
        for day, change in changes_of(pairs).items():
            self.update_members(day, change.joins, change.leaves)

    def erase_members(self, users: BitMap) -> int:
        """Take these users off every day; returns how many (day, user) pairs that removed."""
        removed = 0
        for shard, leaving in parts(users).items():
            for day, members in self._days_of_shard(shard, OUTDATED, _LAST_DAY).items():
                if members.intersect(leaving):
                    self._write_shards(day, {shard: members - leaving})
                    removed += 0 if day == OUTDATED else members.intersection_cardinality(leaving)
        return removed

    def forget_users(self, pseudonyms: NDArray[np.uint64]) -> None:
        """Remove the pseudonym → index mapping of these users."""
        self._session.run("forget_users", pseudonyms=signed(pseudonyms))

    def rename(self, old: NDArray[np.uint64], new: NDArray[np.uint64]) -> None:
        """Let users and tombstones that have an old pseudonym have the new one instead."""
        self._session.run("rename_users", old=signed(old), new=signed(new))
        moved = self.tombstones(old)
        if not len(moved):
            return
        order = np.argsort(old)
        at = order[np.searchsorted(old[order], moved.pseudonyms)]
        renamed = replace(moved, pseudonyms=new[at])
        self._session.run("forget_tombstones", pseudonyms=signed(moved.pseudonyms))
        self.put_tombstones(Tombstones.merged([renamed, self.tombstones(new[at])]))

    def put_tombstones(self, tombstones: Tombstones) -> None:
        """Add or replace tombstones, by pseudonym."""
        self._session.run(
            "put_tombstones",
            pseudonyms=signed(tombstones.pseudonyms),
            erased_on=tombstones.erased_on.tolist(),
            recorded_on=tombstones.recorded_on.tolist(),
            user_indices=tombstones.user_indices.tolist(),
        )

    def drop_before(self, day: int) -> None:
        """Forget memberships, tombstones and request keys from before this ordinal."""
        self._session.run("drop_days", first_day=OUTDATED + 1, day=day)
        self._session.run("drop_tombstones", day=day)
        rows = self._session.rows("requests_before", day=date.fromordinal(day).isoformat())
        for erasure in erasures_of(rows, self._session.corrupt):
            self.put_erasure(
                msgspec.structs.replace(erasure, request_key=None, request_digest=None)
            )

    def put_series_state(self, key: SeriesKey, state: SeriesState) -> None:
        """Add or replace the private state of a series."""
        encoded = msgspec.msgpack.encode(state)
        self._session.run("put_series_state", **series_parameters(key), state=encoded)

    def drop_series_state(self, key: SeriesKey) -> None:
        """Remove the private state of a series whose period is complete."""
        self._session.run("drop_series_state", **series_parameters(key))

    def _numbers(self, count: int) -> list[tuple[int]]:
        """Indices that were never given out before."""
        return self._session.rows("take_indices", count=count)

    def _put_users(self, pseudonyms: NDArray[np.uint64], indices: NDArray[np.int64]) -> None:
        self._session.run("put_users", pseudonyms=signed(pseudonyms), user_indices=indices.tolist())

    def _write_shards(self, day: int, shards: Mapping[int, BitMap]) -> None:
        if shards:
            self._session.run(
                "write_shards",
                day=day,
                shards=list(shards),
                bitmaps=[members.serialize() for members in shards.values()],
            )
