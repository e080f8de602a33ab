"""The store in memory: the same behaviour without a file, for tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.errors import StoreError
from dpdau.model.erasures import Erasure
from dpdau.model.ledger import LedgerKind, LedgerRow
from dpdau.model.pairs import Pairs, changes_of
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import OUTDATED, SeriesState, Tombstones
from dpdau.store.appending import require_next

__all__ = ["MemoryStore"]


@dataclass(frozen=True, slots=True)
class _State:
    """All that is kept; once committed, it is never changed again."""

    users: dict[int, int] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=lambda: {"next_user_index": 0})
    days: dict[int, BitMap] = field(default_factory=dict)
    tombstones: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    ledger: list[LedgerRow] = field(default_factory=list)
    series: dict[SeriesKey, SeriesState] = field(default_factory=dict)
    erasures: dict[str, Erasure] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)

    def copy(self) -> "_State":
        """A state with containers of its own; what they hold is replaced, never changed."""
        return replace(
            self,
            users=self.users.copy(),
            counters=self.counters.copy(),
            days=self.days.copy(),
            tombstones=self.tombstones.copy(),
            ledger=self.ledger.copy(),
            series=self.series.copy(),
            erasures=self.erasures.copy(),
            meta=self.meta.copy(),
        )


class _MemoryReader:
    """What one state holds."""

    def __init__(self, state: _State) -> None:
        self._state = state

    def user_indices(self, pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of each pseudonym, in the same order; -1 where it is unknown."""
        users = self._state.users
        return np.array([users.get(p, -1) for p in pseudonyms.tolist()], dtype=np.int64)

    def known_users(self) -> BitMap:
        """The indices that someone has."""
        return BitMap(self._state.users.values())

    def pseudonyms_of(self, user_indices: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The pseudonym of each index, in the same order; 0 where nobody has it."""
        owners = {index: pseudonym for pseudonym, index in self._state.users.items()}
        return np.array([owners.get(i, 0) for i in user_indices.tolist()], dtype=np.uint64)

    def index_bound(self) -> int:
        """The least user index above all that were ever given out."""
        return self._state.counters["next_user_index"]

    def tombstones(self, pseudonyms: NDArray[np.uint64] | None = None) -> Tombstones:
        """Those of these pseudonyms that have a tombstone; by default every tombstone."""
        known = self._state.tombstones
        found = sorted(known if pseudonyms is None else known.keys() & set(pseudonyms.tolist()))
        columns = np.array([known[pseudonym] for pseudonym in found], np.int64).reshape(-1, 3)
        return Tombstones(
            np.array(found, dtype=np.uint64),
            columns[:, 0].astype(np.int32),
            columns[:, 1].astype(np.int32),
            columns[:, 2],
        )

    def members(self, first_day: int, last_day: int, *, among: BitMap | None = None) -> BitMap:
        """The indices of everyone active on any of these days (ordinals, both included)."""
        days = self._state.days.items()
        users = [members for day, members in days if first_day <= day <= last_day]
        active = BitMap.union(BitMap(), *users)
        return active if among is None else active & among

    def days(self) -> list[int]:
        """The ordinals of the days that anyone was active on, ascending."""
        return sorted(day for day in self._state.days if day != OUTDATED)

    def ledger(
        self,
        *,
        metric: Metric | None = None,
        period: str | None = None,
        kind: LedgerKind | None = None,
        after: int = 0,
    ) -> list[LedgerRow]:
        """The ledger's rows, oldest first, optionally of one metric, period or kind."""
        return [
            row
            for row in self._state.ledger[after:]
            if metric in (None, row.metric)
            and period in (None, row.period)
            and kind in (None, row.kind)
        ]

    def ledger_row(self, kind: LedgerKind, subject: str) -> LedgerRow | None:
        """The row that records this subject."""
        rows = (row for row in self._state.ledger if (row.kind, row.subject) == (kind, subject))
        return next(rows, None)

    def ledger_head(self) -> LedgerRow | None:
        """The newest row."""
        return self._state.ledger[-1] if self._state.ledger else None

    def series_state(self, key: SeriesKey) -> SeriesState | None:
        """The private state of a running series."""
        return self._state.series.get(key)

    def series_keys(self) -> list[SeriesKey]:
        """The series that have private state."""
        return sorted(self._state.series)

    def erasure(self, erasure_id: str) -> Erasure | None:
        """The record of an erasure."""
        return self._state.erasures.get(erasure_id)

    def erasure_of(self, request_key: str) -> Erasure | None:
        """The record of the erasure that was requested under this key."""
        records = self._state.erasures.values()
        return next((record for record in records if record.request_key == request_key), None)

    def erasures(self) -> list[Erasure]:
        """The records of all erasures, oldest first."""
        records = self._state.erasures.values()
        return sorted(records, key=lambda erasure: (erasure.requested_at, erasure.erasure_id))

    def newest_erasures(self, count: int) -> list[Erasure]:
        """The records of the last erasures requested, at most so many, newest first."""
        return self.erasures()[::-1][:count]

    def unfinished_erasures(self) -> list[Erasure]:
        """The erasures that were neither completed nor refused, oldest first."""
        return [erasure for erasure in self.erasures() if not erasure.is_finished]

    def meta(self, name: str) -> str | None:
        """A named value that the store keeps about itself."""
        return self._state.meta.get(name)

    def metas(self) -> dict[str, str]:
        """All of them."""
        return self._state.meta.copy()


class _MemoryTransaction(_MemoryReader):
    """A state that is still its transaction's own."""

    def allot_indices(self, pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of each pseudonym (distinct ones), giving a new one to each unknown."""
        users = self._state.users
        for pseudonym in pseudonyms.tolist():
            if pseudonym not in users:
                *_, former = self._state.tombstones.get(pseudonym, (-1,))
                users[pseudonym] = self._next_index() if former < 0 else former
        return self.user_indices(pseudonyms)

    def adopt_indices(
        self, pseudonyms: NDArray[np.uint64], user_indices: NDArray[np.int64], bound: int
    ) -> None:
        """Let users have indices that another copy of this store gave them."""
        self._state.users.update(zip(pseudonyms.tolist(), user_indices.tolist(), strict=True))
        self._state.counters["next_user_index"] = max(self.index_bound(), bound)

    def update_members(self, day: int, joins: BitMap, leaves: BitMap) -> None:
        """Make these users active, and those not active, on a day (an ordinal, or `OUTDATED`)."""
        members = (self._state.days.pop(day, BitMap()) - leaves) | joins
        if members:
            self._state.days[day] = members

    def update_pairs(self, pairs: Pairs) -> None:
        """Make users active on days, and others not."""
        for day, change in changes_of(pairs).items():
            self.update_members(day, change.joins, change.leaves)

    def erase_members(self, users: BitMap) -> int:
        """Take these users off every day; returns how many (day, user) pairs that removed."""
        removed = 0
        for day, members in list(self._state.days.items()):
            removed += 0 if day == OUTDATED else members.intersection_cardinality(users)
            self.update_members(day, BitMap(), users)
        return removed

    def forget_users(self, pseudonyms: NDArray[np.uint64]) -> None:
        """Remove the pseudonym → index mapping of these users."""
        for pseudonym in pseudonyms.tolist():
            self._state.users.pop(pseudonym, None)

    def rename(self, old: NDArray[np.uint64], new: NDArray[np.uint64]) -> None:
        """Let users and tombstones that have an old pseudonym have the new one instead."""
        for former, present in zip(old.tolist(), new.tolist(), strict=True):
            if former in self._state.users:
                self._state.users[present] = self._state.users.pop(former)
            if former in self._state.tombstones:
                moved = self._state.tombstones.pop(former)
                other = self._state.tombstones.get(present, moved)
                erased_on, recorded_on, index = map(max, moved, other)
                self._state.tombstones[present] = (erased_on, recorded_on, index)

    def put_tombstones(self, tombstones: Tombstones) -> None:
        """Add or replace tombstones, by pseudonym."""
        columns = zip(
            tombstones.erased_on.tolist(),
            tombstones.recorded_on.tolist(),
            tombstones.user_indices.tolist(),
            strict=True,
        )
        self._state.tombstones.update(zip(tombstones.pseudonyms.tolist(), columns, strict=True))

    def drop_before(self, day: int) -> None:
        """Forget memberships, tombstones and request keys from before this ordinal."""
        for earlier in [kept for kept in self._state.days if OUTDATED < kept < day]:
            del self._state.days[earlier]
        for pseudonym, (_, recorded_on, _) in list(self._state.tombstones.items()):
            if recorded_on < day:
                del self._state.tombstones[pseudonym]
        for erasure in list(self._state.erasures.values()):
            if erasure.requested_at.toordinal() < day:
                self.put_erasure(
                    msgspec.structs.replace(erasure, request_key=None, request_digest=None)
                )

    def append_ledger(self, row: LedgerRow) -> None:
        """Append a row whose sequence continues the ledger.

        Raises:
            ValueError: if the sequence has a gap, or a row of that kind and subject exists.
        """
        require_next(self, row)
        # Kept as a file would: tuples come back as lists and names of enums as text.
        encoded = msgspec.json.encode(row, order="sorted")
        self._state.ledger.append(msgspec.json.decode(encoded, type=LedgerRow))

    def put_series_state(self, key: SeriesKey, state: SeriesState) -> None:
        """Add or replace the private state of a series."""
        self._state.series[key] = state

    def drop_series_state(self, key: SeriesKey) -> None:
        """Remove the private state of a series whose period is complete."""
        self._state.series.pop(key, None)

    def put_erasure(self, erasure: Erasure) -> None:
        """Add or replace an erasure's record."""
        self._state.erasures[erasure.erasure_id] = erasure

    def put_meta(self, name: str, value: str) -> None:
        """Add or replace a named value."""
        self._state.meta[name] = value

    def _next_index(self) -> int:
        index = self._state.counters["next_user_index"]
        self._state.counters["next_user_index"] = index + 1
        return index


class MemoryStore:
    """Everything in this process only; gone when it is closed."""

    def __init__(self) -> None:
        self._state = _State()
        self._writing = threading.Lock()
        self._writing_thread: int | None = None
        self._closed = False

    @contextmanager
    def read(self) -> Iterator[_MemoryReader]:
        """Open a consistent view; never waits for a writer."""
        self._require_open()
        yield _MemoryReader(self._state)

    @contextmanager
    def write(self, *, shared: bool = False) -> Iterator[_MemoryTransaction]:  # noqa: ARG002 - all are exclusive
        """Open the exclusive transaction; kept once the context ends, undone on an error."""
        me = threading.get_ident()
        if self._writing_thread == me:
            message = "A write transaction must end before this thread opens another"
            raise RuntimeError(message)
        with self._writing:
            self._require_open()
            self._writing_thread = me
            try:
                state = self._state.copy()
                yield _MemoryTransaction(state)
                self._state = state
            finally:
                self._writing_thread = None

    def purge(self) -> None:
        """Nothing to do: there is no file."""
        self._require_open()

    def keeps_erased(self) -> list[str]:
        """Nothing does."""
        return []

    def warm(self) -> None:
        """Nothing to do: everything is in memory."""
        self._require_open()

    def check(self) -> None:
        """Fail with a `StoreError` if the store cannot answer."""
        self._require_open()

    def close(self) -> None:
        """Forget everything; the store cannot be used afterwards."""
        self._closed = True
        self._state = _State()

    def _require_open(self) -> None:
        if self._closed:
            message = "The store was closed."
            raise StoreError(message)
