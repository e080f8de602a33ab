"""Stores of every kind, and values to put into them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpdau.model.erasures import Erasure
from dpdau.model.ledger import GENESIS_HASH, LedgerKind, LedgerRow, chained
from dpdau.model.releases import Metric
from dpdau.pipeline.ports import Store, Tombstones
from dpdau.store import MemoryStore, SqliteStore

__all__ = [
    "DAY",
    "MAX_UINT64",
    "NOW",
    "OPENERS",
    "erasure",
    "ledger_row",
    "pseudonyms",
    "tombstones",
    "tombstones_as_rows",
]

DAY = 739_000
NOW = datetime(2025, 10, 7, 12, 30, 15, 123456, tzinfo=UTC)
MAX_UINT64 = 2**64 - 1


def open_memory(_: Path) -> Store:
    return MemoryStore()


def open_sqlite(directory: Path) -> Store:
    return SqliteStore(directory / "dpdau.sqlite3", busy_timeout_seconds=0)


OPENERS: dict[str, Callable[[Path], Store]] = {"memory": open_memory, "sqlite": open_sqlite}


def pseudonyms(*values: int) -> NDArray[np.uint64]:
    return np.array(values, dtype=np.uint64)


def tombstones(*rows: tuple[int, int, int, int]) -> Tombstones:
    """Tombstones of rows (pseudonym, erased_on, recorded_on, user_index)."""
    columns = list(zip(*sorted(rows), strict=True)) or [()] * 4
    pseudonym, erased_on, recorded_on, user_index = columns
    return Tombstones(
        np.array(pseudonym, dtype=np.uint64),
        np.array(erased_on, dtype=np.int32),
        np.array(recorded_on, dtype=np.int32),
        np.array(user_index, dtype=np.int64),
    )


def tombstones_as_rows(stones: Tombstones) -> list[tuple[int, int, int, int]]:
    """The inverse of `tombstones`."""
    columns = (stones.pseudonyms, stones.erased_on, stones.recorded_on, stones.user_indices)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def ledger_row(
    sequence: int,
    *,
    previous_hash: str = GENESIS_HASH,
    subject: str | None = None,
    kind: LedgerKind = LedgerKind.RELEASE,
    metric: Metric = Metric.DAU,
    period: str = "2025-10",
    body: dict[str, Any] | None = None,
) -> LedgerRow:
    return chained(
        LedgerRow(
            sequence=sequence,
            kind=kind,
            metric=metric,
            period=period,
            subject=subject or f"subject-{sequence}",
            recorded_at=NOW,
            charge={"mechanism": "laplace", "epsilon": 0.1 + 0.2},
            body=body or {"estimate": 42},
            previous_hash=previous_hash,
        )
    )


def erasure(name: str, *, minutes: int = 0, completed: bool = False) -> Erasure:
    requested_at = NOW + timedelta(minutes=minutes)
    return Erasure(
        erasure_id=name,
        requested_at=requested_at,
        completed_at=requested_at if completed else None,
        users=2,
        days_touched=5,
    )
