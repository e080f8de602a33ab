"""Reading from PostgreSQL: one transaction's consistent view."""

from datetime import date

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.model.bitmaps import bitmap_of
from dpdau.model.ledger import LedgerKind, LedgerRow
from dpdau.model.releases import Metric
from dpdau.pipeline.ports import OUTDATED, Tombstones
from dpdau.store.postgres.session import Session
from dpdau.store.records import RecordReader, ledger_row_of
from dpdau.store.sharding import parts

__all__ = ["PostgresReader", "signed"]


def signed(pseudonyms: NDArray[np.uint64]) -> list[int]:
    """Pseudonyms as the database keeps them: signed integers of the same bits."""
    values: list[int] = pseudonyms.astype(np.uint64).view(np.int64).tolist()
    return values


class PostgresReader(RecordReader):
    """What a connection sees within its transaction."""

    _session: Session

    def __init__(self, session: Session) -> None:
        self._session = session

    def user_indices(self, pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of each pseudonym, in the same order; -1 where it is unknown."""
        wanted = signed(pseudonyms)
        found = dict(self._session.rows("user_indices", pseudonyms=wanted))
        return np.array([found.get(each, -1) for each in wanted], dtype=np.int64)

    def known_users(self) -> BitMap:
        """The indices that someone has."""
        return bitmap_of(np.sort(self._session.bigints("known_users")).astype(np.uint32))

    def pseudonyms_of(self, user_indices: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The pseudonym of each index, in the same order; 0 where nobody has it."""
        wanted = user_indices.tolist()
        found = dict(self._session.rows("pseudonyms_of", user_indices=wanted))
        return np.array([found.get(each, 0) for each in wanted], dtype=np.int64).view(np.uint64)

    def index_bound(self) -> int:
        """The least user index above all that were ever given out."""
        bound: int = self._session.row("index_bound")[0]
        return bound

    def tombstones(self, pseudonyms: NDArray[np.uint64] | None = None) -> Tombstones:
        """Those of these pseudonyms that have a tombstone; by default every tombstone."""
        rows = (
            self._session.rows("tombstones")
            if pseudonyms is None
            else self._session.rows("some_tombstones", pseudonyms=signed(pseudonyms))
        )
        columns = np.array(rows, dtype=np.int64).reshape(-1, 4)
        named = columns[:, 0].copy().view(np.uint64)
        order = np.argsort(named)
        return Tombstones(
            named[order],
            columns[order, 1].astype(np.int32),
            columns[order, 2].astype(np.int32),
            columns[order, 3],
        )

    def members(self, first_day: int, last_day: int, *, among: BitMap | None = None) -> BitMap:
        """The indices of everyone active on any of these days (ordinals, both included)."""
        active = BitMap()
        if among is not None:
            for shard, wanted in parts(among).items():
                for members in self._days_of_shard(shard, first_day, last_day).values():
                    active |= members & wanted
            return active
        for day in self._days_within(first_day, last_day):
            shards = self._session.rows("shards_of_day", day=day)
            active |= BitMap.union(BitMap(), *(self._bitmap(each, day) for _, each in shards))
        return active

    def days(self) -> list[int]:
        """The ordinals of the days that anyone was active on, ascending, and perhaps others."""
        return self._days_within(OUTDATED + 1, date.max.toordinal())

    def ledger(
        self,
        *,
        metric: Metric | None = None,
        period: str | None = None,
        kind: LedgerKind | None = None,
        after: int = 0,
    ) -> list[LedgerRow]:
        """The ledger's rows, oldest first, optionally of one metric, period or kind."""
        wanted = {"metric": metric, "period": period, "kind": kind}
        named = {name: None if value is None else str(value) for name, value in wanted.items()}
        return [ledger_row_of(row) for row in self._session.rows("ledger", **named, after=after)]

    def _days_within(self, first_day: int, last_day: int) -> list[int]:
        rows = self._session.rows("days", first_day=first_day, last_day=last_day)
        return [day for (day,) in rows]

    def _days_of_shard(self, shard: int, first_day: int, last_day: int) -> dict[int, BitMap]:
        """Who of a shard was active on each of these days that has any bitmap of it."""
        rows = self._session.rows(
            "days_of_shard", shard=shard, first_day=first_day, last_day=last_day
        )
        return {day: self._bitmap(content, day) for day, content in rows}

    def _bitmap(self, content: bytes, day: int) -> BitMap:
        try:
            return BitMap.deserialize(content)
        except (IndexError, ValueError) as error:
            raise self._session.corrupt(f"a bitmap of day {day} is broken") from error
