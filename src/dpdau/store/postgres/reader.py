"""Reading from PostgreSQL: one transaction's consistent view."""

from array import array
from datetime import date

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.model.erasures import Erasure
from dpdau.model.ledger import LedgerKind, LedgerRow
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import OUTDATED, SeriesState, Tombstones
from dpdau.store.postgres.session import Session
from dpdau.store.records import (
    erasure_of,
    erasures_of,
    ledger_row_of,
    series_keys_of,
    series_parameters,
)
from dpdau.store.sharding import parts

__all__ = ["PostgresReader", "signed"]


def signed(pseudonyms: NDArray[np.uint64]) -> list[int]:
    """Pseudonyms as the database keeps them: signed integers of the same bits."""
    values: list[int] = pseudonyms.astype(np.uint64).view(np.int64).tolist()
    return values


class PostgresReader:
    """What a connection sees within its transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def user_indices(self, pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of each pseudonym, in the same order; -1 where it is unknown."""
        wanted = signed(pseudonyms)
        found = dict(self._session.rows("user_indices", pseudonyms=wanted))
        return np.array([found.get(each, -1) for each in wanted], dtype=np.int64)

    def known_users(self) -> BitMap:
        """The indices that someone has."""
        indices = np.sort(self._session.bigints("known_users")).astype(np.uint32)
        return BitMap(array("I", indices.tobytes()))

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

    def ledger_row(self, kind: LedgerKind, subject: str) -> LedgerRow | None:
        """The row that records this subject."""
        row = self._session.row("ledger_row", kind=str(kind), subject=subject)
        return None if row is None else ledger_row_of(row)

    def ledger_head(self) -> LedgerRow | None:
        """The newest row."""
        row = self._session.row("ledger_head")
        return None if row is None else ledger_row_of(row)

    def series_state(self, key: SeriesKey) -> SeriesState | None:
        """The private state of a running series."""
        row = self._session.row("series_state", **series_parameters(key))
        if row is None:
            return None
        try:
            return msgspec.msgpack.decode(row[0], type=SeriesState)
        except msgspec.MsgspecError as error:
            raise self._session.corrupt(f"the state of {key} cannot be read") from error

    def series_keys(self) -> list[SeriesKey]:
        """The series that have private state."""
        return series_keys_of(self._session.rows("series_keys"), self._session.corrupt)

    def erasure(self, erasure_id: str) -> Erasure | None:
        """The record of an erasure."""
        return erasure_of(
            self._session.row("erasure", erasure_id=erasure_id), self._session.corrupt
        )

    def erasure_of(self, request_key: str) -> Erasure | None:
        """The record of the erasure that was requested under this key."""
        return erasure_of(
            self._session.row("erasure_of", request_key=request_key), self._session.corrupt
        )

    def erasures(self) -> list[Erasure]:
        """The records of all erasures, oldest first."""
        return erasures_of(self._session.rows("erasures"), self._session.corrupt)

    def newest_erasures(self, count: int) -> list[Erasure]:
        """The records of the last erasures requested, at most so many, newest first."""
        return erasures_of(
            self._session.rows("newest_erasures", count=count), self._session.corrupt
        )

    def unfinished_erasures(self) -> list[Erasure]:
        """The erasures that were neither completed nor refused, oldest first."""
        return erasures_of(self._session.rows("unfinished_erasures"), self._session.corrupt)

    def meta(self, name: str) -> str | None:
        """A named value that the store keeps about itself."""
        row = self._session.row("meta", name=name)
        return None if row is None else str(row[0])

    def metas(self) -> dict[str, str]:
        """All of them."""
        return dict(self._session.rows("metas"))

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
