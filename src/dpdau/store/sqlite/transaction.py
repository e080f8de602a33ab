"""Writing to SQLite: the one exclusive transaction."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.model.erasures import Erasure
from dpdau.model.ledger import LedgerRow
from dpdau.model.releases import SeriesKey
from dpdau.pipeline.ports import SeriesState, Tombstone
from dpdau.store.sqlite.reader import (
    SHARD_BITS,
    SqliteReader,
    as_json,
    series_parameters,
    shards_of,
    signed,
)
from dpdau.store.sqlite.statements import query

__all__ = ["SqliteTransaction"]


class SqliteTransaction(SqliteReader):
    """A view that may also change the file; it sees its own changes."""

    def allot_indices(self, pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of each pseudonym (distinct ones), giving a new one to each unknown."""
        indices = self.user_indices(pseudonyms)
        unknown = np.flatnonzero(indices < 0)
        for position, former_index in self._returning(pseudonyms, unknown):
            indices[position] = former_index
            self._insert_users(pseudonyms[position : position + 1], former_index)
        new = np.flatnonzero(indices < 0)
        if len(new):
            first = self._one("take_user_indices", count=len(new))[0]
            indices[new] = np.arange(first, first + len(new))
            self._insert_users(pseudonyms[new], first)
        return indices

    def update_members(self, day: int, joins: BitMap, leaves: BitMap) -> None:
        """Make these users active, and those not active, on a day (an ordinal)."""
        shards = shards_of(joins | leaves)
        stored = dict(self._all("shards_of_day", day=day, shards=as_json(shards)))
        kept, emptied = [], []
        for shard in shards.tolist():
            blob = stored.get(shard)
            before = BitMap() if blob is None else self._bitmap(blob, day)
            after = (before - leaves) | (joins & _indices_of(shard))
            if after:
                after.run_optimize()
                kept.append({"day": day, "shard": shard, "bitmap": after.serialize()})
            else:
                emptied.append({"day": day, "shard": shard})
        self._many("put_shard", kept)
        self._many("delete_shard", emptied)

    def forget_users(self, pseudonyms: NDArray[np.uint64]) -> None:
        """Remove the pseudonym → index mapping of these users."""
        self._run("delete_users", pseudonyms=as_json(signed(pseudonyms)))

    def put_tombstones(self, tombstones: Sequence[Tombstone]) -> None:
        """Add or replace tombstones, by pseudonym."""
        pseudonyms = np.array([tombstone.pseudonym for tombstone in tombstones], dtype=np.uint64)
        rows = [
            {**asdict(tombstone), "pseudonym": pseudonym}
            for pseudonym, tombstone in zip(signed(pseudonyms).tolist(), tombstones, strict=True)
        ]
        self._many("put_tombstone", rows)

    def drop_before(self, day: int) -> None:
        """Remove memberships of days, and tombstones recorded, before this ordinal."""
        self._run("drop_membership", day=day)
        self._run("drop_tombstones", day=day)

    def append_ledger(self, row: LedgerRow) -> None:
        """Append a row whose sequence continues the ledger.

        Raises:
            ValueError: if the sequence has a gap, or a row of that kind and subject exists.
        """
        head = self.ledger_head()
        expected = 1 if head is None else head.sequence + 1
        if row.sequence != expected:
            message = f"Expected ledger row {expected}, got {row.sequence}"
            raise ValueError(message)
        if self.ledger_row(row.kind, row.subject) is not None:
            message = f"The ledger already records the {row.kind} {row.subject}"
            raise ValueError(message)
        columns = msgspec.structs.asdict(row)
        columns["recorded_at"] = msgspec.to_builtins(row.recorded_at)
        columns["charge"] = None if row.charge is None else _json(row.charge)
        columns["body"] = _json(row.body)
        self._run("append_ledger", **columns)

    def put_series_state(self, key: SeriesKey, state: SeriesState) -> None:
        """Add or replace the private state of a series."""
        self._run(
            "put_series_state",
            **series_parameters(key),
            totals=_json(state.totals),
            limiter=state.limiter,
        )

    def drop_series_state(self, key: SeriesKey) -> None:
        """Remove the private state of a series whose period is complete."""
        self._run("drop_series_state", **series_parameters(key))

    def put_erasure(self, erasure: Erasure) -> None:
        """Add or replace an erasure's record."""
        self._run("put_erasure", **msgspec.to_builtins(erasure))

    def put_meta(self, name: str, value: str) -> None:
        """Add or replace a named value."""
        self._run("put_meta", name=name, value=value)

    def _returning(
        self, pseudonyms: NDArray[np.uint64], unknown: NDArray[np.intp]
    ) -> list[tuple[int, int]]:
        """The positions of erased people who have an index to get back, and that index."""
        tombstones = self.tombstones(pseudonyms[unknown])
        if not tombstones:
            return []
        former = ((position, tombstones.get(int(pseudonyms[position]))) for position in unknown)
        return [
            (int(position), tombstone.user_index)
            for position, tombstone in former
            if tombstone is not None and tombstone.user_index is not None
        ]

    def _insert_users(self, pseudonyms: NDArray[np.uint64], first_index: int) -> None:
        self._run("insert_users", pseudonyms=as_json(signed(pseudonyms)), first_index=first_index)

    def _run(self, name: str, /, **parameters: Any) -> None:
        self._connection.execute(query(name), parameters)

    def _many(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        self._connection.executemany(query(name), rows)


def _indices_of(shard: int) -> BitMap:
    return BitMap(range(shard << SHARD_BITS, (shard + 1) << SHARD_BITS))


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
