"""Reading from SQLite: one transaction's consistent view."""

import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.errors import LedgerDamagedError, StoreCorruptError
from dpdau.model.erasures import Erasure
from dpdau.model.ledger import LedgerKind, LedgerRow
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import SeriesState, Tombstone
from dpdau.store.sqlite.statements import query

__all__ = ["SHARD_BITS", "SqliteReader", "as_json", "series_parameters", "shards_of", "signed"]

# A shard is one container of a Roaring bitmap.
SHARD_BITS = 16

_UINT64_MASK = (1 << 64) - 1


class SqliteReader:
    """What a connection sees within its transaction."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def user_indices(self, pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of each pseudonym, in the same order; -1 where it is unknown."""
        indices = np.full(len(pseudonyms), -1, dtype=np.int64)
        rows = self._all("user_indices", pseudonyms=as_json(signed(pseudonyms)))
        if rows:
            found = np.array(rows, dtype=np.int64)
            indices[found[:, 0]] = found[:, 1]
        return indices

    def tombstones(self, pseudonyms: NDArray[np.uint64]) -> dict[int, Tombstone]:
        """The tombstones among these pseudonyms, by pseudonym."""
        rows = self._all("tombstones", pseudonyms=as_json(signed(pseudonyms)))
        tombstones = (Tombstone(pseudonym & _UINT64_MASK, *columns) for pseudonym, *columns in rows)
        return {tombstone.pseudonym: tombstone for tombstone in tombstones}

    def members(self, first_day: int, last_day: int) -> BitMap:
        """The indices of everyone active on any of these days (ordinals, both included)."""
        rows = self._all("members", first_day=first_day, last_day=last_day)
        return BitMap.union(BitMap(), *(self._bitmap(blob, day) for day, blob in rows))

    def days_of(self, user_indices: BitMap) -> list[int]:
        """The ordinals of the days on which any of these users is active, ascending."""
        rows = self._all("days_of_shards", shards=as_json(shards_of(user_indices)))
        days = {day for day, blob in rows if self._bitmap(blob, day).intersect(user_indices)}
        return sorted(days)

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
            self._ledger_row(row)
            for row in self._all(name, metric=metric, period=period, kind=kind, after=after)
        ]

    def ledger_row(self, kind: LedgerKind, subject: str) -> LedgerRow | None:
        """The row that records this subject."""
        row = self._one("ledger_row", kind=kind, subject=subject)
        return None if row is None else self._ledger_row(row)

    def ledger_head(self) -> LedgerRow | None:
        """The newest row."""
        row = self._one("ledger_head")
        return None if row is None else self._ledger_row(row)

    def series_state(self, key: SeriesKey) -> SeriesState | None:
        """The private state of a running series."""
        row = self._one("series_state", **series_parameters(key))
        if row is None:
            return None
        totals, limiter = row
        return SeriesState(msgspec.json.decode(totals, type=tuple[int, ...]), limiter)

    def series_keys(self) -> list[SeriesKey]:
        """The series that have private state."""
        return [
            SeriesKey(Metric(metric), window_days, period)
            for metric, window_days, period in self._all("series_keys")
        ]

    def erasure(self, erasure_id: str) -> Erasure | None:
        """The record of an erasure."""
        row = self._one("erasure", erasure_id=erasure_id)
        return None if row is None else _erasure(row)

    def unfinished_erasures(self) -> list[Erasure]:
        """The erasures whose pages have not been purged yet."""
        return [_erasure(row) for row in self._all("unfinished_erasures")]

    def meta(self, name: str) -> str | None:
        """A named value that the store keeps about itself."""
        row = self._one("meta", name=name)
        return None if row is None else str(row[0])

    def _all(self, name: str, /, **parameters: Any) -> list[Any]:
        return self._connection.execute(query(name), parameters).fetchall()

    def _one(self, name: str, /, **parameters: Any) -> Any:
        return self._connection.execute(query(name), parameters).fetchone()

    def _bitmap(self, blob: bytes, day: int) -> BitMap:
        try:
            return BitMap.deserialize(blob)
        except (IndexError, ValueError) as error:
            raise StoreCorruptError(self._path, f"a bitmap of day {day} is broken") from error

    def _ledger_row(self, row: tuple[Any, ...]) -> LedgerRow:
        sequence, kind, metric, period, subject, recorded_at, charge, body, previous, own = row
        try:
            return msgspec.convert(
                {
                    "sequence": sequence,
                    "kind": kind,
                    "metric": metric,
                    "period": period,
                    "subject": subject,
                    "recorded_at": recorded_at,
                    "charge": None if charge is None else msgspec.json.decode(charge),
                    "body": msgspec.json.decode(body),
                    "previous_hash": previous,
                    "hash": own,
                },
                LedgerRow,
            )
        except msgspec.MsgspecError as error:
            raise LedgerDamagedError(sequence, "it cannot be read") from error


def as_json(values: NDArray[np.int64]) -> str:
    """Integers as the JSON array that the queries take lists in."""
    return msgspec.json.encode(values.tolist()).decode()


def signed(pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The signed integers of the same bits, since SQLite has no others."""
    return pseudonyms.astype(np.uint64, copy=False).view(np.int64)


def shards_of(users: BitMap) -> NDArray[np.int64]:
    """The shards that hold these indices, ascending."""
    indices = np.frombuffer(users.to_array(), dtype=np.uint32)
    return np.unique(indices >> SHARD_BITS).astype(np.int64)


def series_parameters(key: SeriesKey) -> dict[str, Any]:
    """The columns that name a series."""
    return {"metric": key.metric, "window_days": key.window_days, "period": key.period}


def _erasure(row: tuple[Any, ...]) -> Erasure:
    columns = zip(Erasure.__struct_fields__, row, strict=True)
    return msgspec.convert(dict(columns), Erasure)
