"""What the pipeline needs of a store; `dpdau.store` implements it.

A store keeps seven things: who is known (pseudonym → user index), who was active on which day
(one bitmap of indices a day), tombstones of erased people, the ledger, the private state of
running series, erasure records, and a few named values about itself. It knows nothing of
privacy: it makes transactions atomic, durable and exclusive.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.model.erasures import Erasure
from dpdau.model.ledger import LedgerKind, LedgerRow
from dpdau.model.releases import Metric, SeriesKey

__all__ = ["HeadCopy", "Reader", "SeriesState", "Store", "Tombstone", "Transaction"]


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What remains of an erased person, so that replayed events stay refused.

    Attributes:
        pseudonym: the keyed hash, uint64.
        erased_on: ordinal of the erasure's day; events dated before it are refused.
        recorded_on: ordinal of the day on which the erasure was carried out; retention counts
            from it, so that the tombstone outlives every period that could still be published.
        user_index: the index to give back if the person returns, so that state which limits
            their presence in a running period still finds them; None once no period needs it.
    """

    pseudonym: int
    erased_on: int
    recorded_on: int
    user_index: int | None


@dataclass(frozen=True, slots=True)
class SeriesState:
    """The private state of a series in a period that still runs; never shown to anyone.

    Attributes:
        totals: the true presence totals of the rows measured so far, in day order.
        limiter: the flippancy limiter's state, or None if presence is not limited.
    """

    totals: tuple[int, ...]
    limiter: bytes | None


class Reader(Protocol):
    """A consistent view of the store."""

    def user_indices(self, pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of each pseudonym, in the same order; -1 where it is unknown."""
        ...

    def tombstones(self, pseudonyms: NDArray[np.uint64]) -> dict[int, Tombstone]:
        """The tombstones among these pseudonyms, by pseudonym."""
        ...

    def members(self, first_day: int, last_day: int) -> BitMap:
        """The indices of everyone active on any of these days (ordinals, both included)."""
        ...

    def days_of(self, user_indices: BitMap) -> list[int]:
        """The ordinals of the days on which any of these users is active, ascending."""
        ...

    def ledger(
        self,
        *,
        metric: Metric | None = None,
        period: str | None = None,
        kind: LedgerKind | None = None,
        after: int = 0,
    ) -> list[LedgerRow]:
        """The ledger's rows, oldest first, optionally of one metric, period or kind.

        Args:
            metric: only rows of this metric.
            period: only rows of this period.
            kind: only rows of this kind.
            after: only rows behind this sequence.
        """
        ...

    def ledger_row(self, kind: LedgerKind, subject: str) -> LedgerRow | None:
        """The row that records this subject."""
        ...

    def ledger_head(self) -> LedgerRow | None:
        """The newest row."""
        ...

    def series_state(self, key: SeriesKey) -> SeriesState | None:
        """The private state of a running series."""
        ...

    def series_keys(self) -> list[SeriesKey]:
        """The series that have private state."""
        ...

    def erasure(self, erasure_id: str) -> Erasure | None:
        """The record of an erasure."""
        ...

    def unfinished_erasures(self) -> list[Erasure]:
        """The erasures whose pages have not been purged yet."""
        ...

    def meta(self, name: str) -> str | None:
        """A named value that the store keeps about itself."""
        ...


class Transaction(Reader, Protocol):
    """A view that may also change the store; exclusive among processes."""

    def allot_indices(self, pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of each pseudonym (distinct ones), giving a new one to each unknown.

        An erased person whose tombstone still holds an index gets that one back; no index is
        ever given to someone else.
        """
        ...

    def update_members(self, day: int, joins: BitMap, leaves: BitMap) -> None:
        """Make these users active, and those not active, on a day (an ordinal)."""
        ...

    def forget_users(self, pseudonyms: NDArray[np.uint64]) -> None:
        """Remove the pseudonym → index mapping of these users."""
        ...

    def put_tombstones(self, tombstones: Sequence[Tombstone]) -> None:
        """Add or replace tombstones, by pseudonym."""
        ...

    def drop_before(self, day: int) -> None:
        """Remove memberships of days, and tombstones recorded, before this ordinal."""
        ...

    def append_ledger(self, row: LedgerRow) -> None:
        """Append a row whose sequence continues the ledger.

        Raises:
            ValueError: if the sequence has a gap, or a row of that kind and subject exists.
        """
        ...

    def put_series_state(self, key: SeriesKey, state: SeriesState) -> None:
        """Add or replace the private state of a series."""
        ...

    def drop_series_state(self, key: SeriesKey) -> None:
        """Remove the private state of a series whose period is complete."""
        ...

    def put_erasure(self, erasure: Erasure) -> None:
        """Add or replace an erasure's record."""
        ...

    def put_meta(self, name: str, value: str) -> None:
        """Add or replace a named value."""
        ...


class Store(Protocol):
    """A place that keeps everything durably.

    Every method may raise a `StoreError`; after one, nothing of the failed transaction is kept.
    """

    def read(self) -> AbstractContextManager[Reader]:
        """Open a consistent view; never waits for a writer."""
        ...

    def write(self) -> AbstractContextManager[Transaction]:
        """Open the exclusive transaction; durable once the context ends, undone on an error."""
        ...

    def purge(self) -> None:
        """Make sure that what was deleted can no longer be found in any file of the store."""
        ...

    def check(self) -> None:
        """Fail with a `StoreError` if the store cannot answer."""
        ...

    def close(self) -> None:
        """Release files and connections; the store cannot be used afterwards."""
        ...


class HeadCopy(Protocol):
    """A second place, apart from the store, that remembers the ledger's newest row.

    Attributes:
        is_durable: whether it outlives the process, so that its absence means something.
    """

    is_durable: bool

    def read(self) -> bytes | None:
        """What it remembers; None if it is missing."""
        ...

    def replace(self, change: Callable[[bytes | None], bytes | None]) -> None:
        """Read, ask for the new content, and keep it durably, exclusive among processes.

        Args:
            change: given what is remembered; returns what to remember, or None to change nothing.
        """
        ...
