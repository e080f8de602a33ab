"""What the pipeline needs of a store; `dpdau.store` implements it.

A store keeps seven things: who is known (pseudonym → user index), who was active on which day
(one bitmap of indices a day), tombstones of erased people, the ledger, the private state of
running series, erasure records, and a few named values about itself. It knows nothing of
privacy: it makes transactions atomic, durable and exclusive.

Pseudonyms are never 0, user indices are below 2³² - 1, and bitmaps that a store gives out belong
to whoever asked.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.model.erasures import Erasure
from dpdau.model.ledger import LedgerKind, LedgerRow
from dpdau.model.pairs import Pairs
from dpdau.model.releases import Metric, SeriesKey
from dpdau.model.tombstones import Tombstones

__all__ = [
    "OUTDATED",
    "Backups",
    "ErasureJournal",
    "HeadCopy",
    "Reader",
    "SeriesState",
    "Store",
    "Tombstones",
    "Transaction",
]

# In place of a day: the users whose pseudonym is still made with the previous secret.
OUTDATED = 0


@dataclass(frozen=True, slots=True)
class SeriesState:
    """The private state of a series in a period that still runs; never shown to anyone.

    Attributes:
        totals: the true presence totals of the rows measured so far, in day order.
        limiter: the flippancy limiter's state, or what a census has in its place; None if
            presence is not limited.
    """

    totals: tuple[int, ...]
    limiter: bytes | None


class Reader(Protocol):
    """A consistent view of the store."""

    def user_indices(self, pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of each pseudonym, in the same order; -1 where it is unknown."""
        ...

    def known_users(self) -> BitMap:
        """The indices that someone has."""
        ...

    def pseudonyms_of(self, user_indices: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The pseudonym of each index, in the same order; 0 where nobody has it."""
        ...

    def index_bound(self) -> int:
        """The least user index above all that were ever given out."""
        ...

    def tombstones(self, pseudonyms: NDArray[np.uint64] | None = None) -> Tombstones:
        """Those of these pseudonyms that have a tombstone; by default every tombstone."""
        ...

    def members(self, first_day: int, last_day: int, *, among: BitMap | None = None) -> BitMap:
        """The indices of everyone active on any of these days (ordinals, both included).

        Args:
            first_day: the first of the days.
            last_day: the last of them.
            among: look at these users only, which costs less for few containers of indices.
        """
        ...

    def days(self) -> list[int]:
        """The ordinals of the days that anyone was active on, ascending, and perhaps others."""
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

    def erasure_of(self, request_key: str) -> Erasure | None:
        """The record of the erasure that was requested under this key."""
        ...

    def erasures(self) -> list[Erasure]:
        """The records of all erasures, oldest first."""
        ...

    def newest_erasures(self, count: int) -> list[Erasure]:
        """The records of the last erasures requested, at most so many, newest first."""
        ...

    def unfinished_erasures(self) -> list[Erasure]:
        """The erasures that were neither completed nor refused, oldest first."""
        ...

    def meta(self, name: str) -> str | None:
        """A named value that the store keeps about itself."""
        ...

    def metas(self) -> dict[str, str]:
        """All of them."""
        ...


class Transaction(Reader, Protocol):
    """A view that may also change the store; exclusive among processes."""

    def allot_indices(self, pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of each pseudonym (distinct ones), giving a new one to each unknown.

        An erased person whose tombstone still holds an index gets that one back; no index is
        ever given to someone else.
        """
        ...

    def adopt_indices(
        self, pseudonyms: NDArray[np.uint64], user_indices: NDArray[np.int64], bound: int
    ) -> None:
        """Let users have indices that another copy of this store gave them.

        Args:
            pseudonyms: n distinct pseudonyms, unknown so far.
            user_indices: n distinct indices that nobody has.
            bound: indices given out from now on are at least this.
        """
        ...

    def update_members(self, day: int, joins: BitMap, leaves: BitMap) -> None:
        """Make these users active, and those not active, on a day (an ordinal, or `OUTDATED`)."""
        ...

    def update_pairs(self, pairs: Pairs) -> None:
        """The same for users and days one by one.

        Args:
            pairs: what becomes of each user on each day; not to be changed any more.
        """
        ...

    def erase_members(self, users: BitMap) -> int:
        """Take these users off every day, and out of the outdated ones.

        Returns:
            How many (day, user) pairs that removed, not counting `OUTDATED`.
        """
        ...

    def forget_users(self, pseudonyms: NDArray[np.uint64]) -> None:
        """Remove the pseudonym → index mapping of these users."""
        ...

    def rename(self, old: NDArray[np.uint64], new: NDArray[np.uint64]) -> None:
        """Let users and tombstones that have an old pseudonym have the new one instead.

        Where both have a tombstone, the larger of each column holds.

        Args:
            old: n distinct pseudonyms, known or not.
            new: what replaces each; distinct, and no user's wherever the old one is a user's.
        """
        ...

    def put_tombstones(self, tombstones: Tombstones) -> None:
        """Add or replace tombstones, by pseudonym."""
        ...

    def drop_before(self, day: int) -> None:
        """Forget what was before this ordinal.

        That is: memberships of earlier days but `OUTDATED`, tombstones recorded earlier, and the request keys
        of erasures requested earlier.
        """
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

    def write(self, *, shared: bool = False) -> AbstractContextManager[Transaction]:
        """Open the exclusive transaction; durable once the context ends, undone on an error.

        Args:
            shared: it only ingests, so it may run beside others that only ingest. It reads what
                is needed for that, allots indices, and then updates the members of days, each
                day once and in ascending order.
        """
        ...

    def purge(self) -> None:
        """Make sure that what was deleted can no longer be found in any file of the store."""
        ...

    def keeps_erased(self) -> list[str]:
        """Why traces of what `purge` removed may stay for a while all the same, if they may."""
        ...

    def warm(self) -> None:
        """Load what later calls answer quickly from; without it, the first ones take longer."""
        ...

    def check(self) -> None:
        """Fail with a `StoreError` if the store cannot answer."""
        ...

    def close(self) -> None:
        """Release files and connections; the store cannot be used afterwards."""
        ...


class Backups(Protocol):
    """The copies of the store that erasures can reach."""

    def erase(self, tombstones: Tombstones, key_check: str | None) -> int:
        """Take people out of every copy, and leave these tombstones there.

        Call it after the erasure is committed: a copy that is being written meanwhile then takes
        them out itself before it gets its name.

        Args:
            tombstones: what they left in the store.
            key_check: the key-check value of the store. In copies with another one pseudonyms
                are others, and people are known by their index.

        Returns:
            How many copies there are.

        Raises:
            StoreError: if a copy cannot be changed; the others are changed all the same.
        """
        ...


class HeadCopy(Protocol):
    """A second place, apart from the store, that remembers the ledger's newest row."""

    @property
    def kept_as(self) -> str | None:
        """The name under which a store remembers that there is this copy.

        So its absence means something. None if it does not outlive the process.
        """
        ...

    def read(self) -> bytes | None:
        """What it remembers; None if it is missing."""
        ...

    def replace(self, change: Callable[[bytes | None], bytes | None]) -> None:
        """Read, ask for the new content, and keep it durably, exclusive among processes.

        Args:
            change: given what is remembered; returns what to remember, or None to change nothing.
        """
        ...


class ErasureJournal(Protocol):
    """A second place, apart from the store, that remembers who was erased.

    So an older copy of the store can be put back without bringing back anyone who was erased
    since, even when the newer store is lost. Every method may raise a `StoreError`.
    """

    def exists(self) -> bool:
        """Whether it was ever written; if not, it may lack tombstones that the store has."""
        ...

    def read(self) -> Tombstones:
        """Every tombstone."""
        ...

    def append(self, tombstones: Tombstones) -> None:
        """Add tombstones, at a cost that does not grow with those it has; then it exists."""
        ...

    def replace(self, tombstones: Tombstones) -> None:
        """Keep these and no others.

        Another process may erase at any time: whoever replaces by what the store has must do so
        within the store's write transaction.
        """
        ...

    def drop_before(self, day: int) -> None:
        """Forget tombstones recorded before this ordinal."""
        ...
