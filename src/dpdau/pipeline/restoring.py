"""Putting an older copy of the store in the place of a newer one.

Formal guarantees:
    Let the newer store be readable, and its ledger continue the older one's. Then the older one,
    once it has taken over, has every row of the ledger, the private state of every running
    series as it was measured last, and for everyone whom a limiter of such a series has counted
    the same user index. So no row is measured twice, nothing is given back to a budget, and the
    rows of a person in a running series belong to one index, as the limiter's guarantee demands.
    No index is given to someone else that another person had. And whoever was erased in the
    newer store is in no membership of the older one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.model.bitmaps import indices_of
from dpdau.model.erasures import Erasure
from dpdau.model.ledger import LedgerRow, verify_chain
from dpdau.model.releases import SeriesKey
from dpdau.model.sources import ActivitySource
from dpdau.pipeline.ports import OUTDATED, Reader, SeriesState, Tombstones, Transaction
from dpdau.pipeline.rotation import KEY_CHECK
from dpdau.pipeline.source import source_of
from dpdau.privacy.flippancy import LimiterState

__all__ = ["COPIED_ON", "Remains", "erased_since", "reapply"]

COPIED_ON = "copied_on"
"""The name of the day, kept in a copy, on which it was begun."""


@dataclass(frozen=True, slots=True)
class Remains:
    """What a store hands to the one that takes its place.

    Attributes:
        ledger: every row.
        series: the private state of running series.
        pseudonyms: of everyone whom a limiter of these has counted; n of them.
        user_indices: theirs, in the same order.
        index_bound: above every index that was given out.
        erasures: every record.
        tombstones: every one.
    """

    ledger: Sequence[LedgerRow]
    series: Mapping[SeriesKey, SeriesState]
    pseudonyms: NDArray[np.uint64]
    user_indices: NDArray[np.int64]
    index_bound: int
    erasures: Sequence[Erasure]
    tombstones: Tombstones

    @classmethod
    def of(cls, reader: Reader) -> "Remains":
        """Read them.

        Raises:
            LedgerDamagedError: if the ledger does not fit its hashes.
            StoreCorruptError: if something cannot be read.
        """
        ledger = reader.ledger()
        verify_chain(ledger)
        states = {key: reader.series_state(key) for key in reader.series_keys()}
        series = {key: state for key, state in states.items() if state is not None}
        is_indexed = source_of(reader) is ActivitySource.STORE
        counted = _counted(series.values()) if is_indexed else BitMap()
        user_indices = indices_of(counted).astype(np.int64)
        pseudonyms = reader.pseudonyms_of(user_indices)
        # Those who were erased have a tombstone instead, which keeps their index.
        known = pseudonyms > 0
        return cls(
            ledger=ledger,
            series=series,
            pseudonyms=pseudonyms[known],
            user_indices=user_indices[known],
            index_bound=reader.index_bound(),
            erasures=reader.erasures(),
            tombstones=reader.tombstones(),
        )

    def diverges_at(self, ledger: Sequence[LedgerRow]) -> int | None:
        """The first row that is another in this ledger; None if one continues the other."""
        pairs = zip(self.ledger, ledger, strict=False)
        return next((own.sequence for own, other in pairs if own.hash != other.hash), None)

    def has_erased_since(self, copy: Reader) -> bool:
        """Whether there is an erasure that a copy knows nothing of."""
        known = {erasure.erasure_id for erasure in copy.erasures()}
        return any(erasure.erasure_id not in known for erasure in self.erasures)

    def hand_over(self, transaction: Transaction) -> int:
        """Let another store go on where this one was.

        Args:
            transaction: of a store whose ledger does not diverge, and in which the erasures
                made since were applied.

        Returns:
            How many rows its ledger lacked.
        """
        rows = transaction.ledger()
        added = self.ledger[len(rows) :]
        for row in added:
            transaction.append_ledger(row)
        for erasure in self.erasures:
            transaction.put_erasure(erasure)
        if len(self.ledger) >= len(rows):
            for key in transaction.series_keys():
                transaction.drop_series_state(key)
            for key, state in self.series.items():
                transaction.put_series_state(key, state)
            self._hand_over_indices(transaction)
        nobody = np.empty(0, dtype=np.uint64)
        transaction.adopt_indices(nobody, nobody.astype(np.int64), self.index_bound)
        return len(added)

    def _hand_over_indices(self, transaction: Transaction) -> None:
        owners = transaction.pseudonyms_of(self.user_indices)
        taken = (owners > 0) & (owners != self.pseudonyms)
        # A rotation of the secret has given these a new pseudonym since.
        renamed = taken & _among(self.user_indices, _outdated(transaction))
        here = transaction.user_indices(self.pseudonyms)
        # Whoever was forgotten and came back since has a second index: the later one holds.
        _remove(transaction, self.pseudonyms[(here >= 0) & (here != self.user_indices)])
        _remove(transaction, owners[taken & ~renamed])
        transaction.rename(owners[renamed], self.pseudonyms[renamed])
        transaction.update_members(OUTDATED, BitMap(), BitMap(self.user_indices[renamed]))
        missing = transaction.user_indices(self.pseudonyms) < 0
        transaction.adopt_indices(self.pseudonyms[missing], self.user_indices[missing], 0)


def erased_since(copy: Reader, tombstones: Tombstones, copied_on: date) -> Tombstones:
    """The tombstones of erasures that a copy of the store may know nothing of.

    Tombstones tell days and no times. So erasures of the day on which the copy was begun are
    among these, and whoever was erased and came back on that very day is taken out of it again.
    A tombstone that a rotation has given another pseudonym since is known by its index.

    Args:
        copy: the copy.
        tombstones: those of the store, or of a journal of its erasures.
        copied_on: the day on which the copy was begun.
    """
    known = copy.tombstones(tombstones.pseudonyms)
    at = np.searchsorted(tombstones.pseudonyms, known.pseudonyms)
    since = np.ones(len(tombstones), dtype=np.bool_)
    since[at] = (tombstones.erased_on[at] > known.erased_on) | (
        tombstones.recorded_on[at] > known.recorded_on
    )
    since &= ~_known_by_index(copy, tombstones)
    return tombstones.select(since | (tombstones.recorded_on >= copied_on.toordinal()))


def _known_by_index(copy: Reader, tombstones: Tombstones) -> NDArray[np.bool_]:
    """Which tombstones a copy has too, perhaps with other pseudonyms."""
    kept = copy.tombstones()
    kept = kept.select(np.argsort(kept.user_indices, kind="stable"))
    if not len(kept):
        return np.zeros(len(tombstones), dtype=np.bool_)
    at = np.searchsorted(kept.user_indices, tombstones.user_indices)
    found = kept.select(np.minimum(at, len(kept) - 1))
    known: NDArray[np.bool_] = tombstones.user_indices >= 0
    known &= found.user_indices == tombstones.user_indices
    known &= found.erased_on >= tombstones.erased_on
    known &= found.recorded_on >= tombstones.recorded_on
    return known


def reapply(transaction: Transaction, tombstones: Tombstones, key_check: str | None) -> int:
    """Erase people from a copy of the store as they were erased from the store.

    Those whose pseudonym was still made with a former secret are known by their index.

    Args:
        transaction: of the copy.
        tombstones: what they left in the store.
        key_check: the key-check value of the store.

    Returns:
        How many (day, person) memberships were removed.
    """
    indices = BitMap(tombstones.user_indices[tombstones.user_indices >= 0])
    is_former = transaction.meta(KEY_CHECK) != key_check
    named_otherwise = transaction.known_users() if is_former else _outdated(transaction)
    outdated = named_otherwise & indices
    former = transaction.pseudonyms_of(indices_of(outdated).astype(np.int64))
    here = transaction.user_indices(tombstones.pseudonyms)
    found = Tombstones(tombstones.pseudonyms, tombstones.erased_on, tombstones.recorded_on, here)
    earlier = transaction.tombstones(tombstones.pseudonyms)
    removed = _remove(transaction, np.union1d(tombstones.pseudonyms, former[former > 0]))
    merged = Tombstones.merged([earlier, found, tombstones])
    transaction.put_tombstones(merged)
    nobody = np.empty(0, dtype=np.uint64)
    bound = int(merged.user_indices.max(initial=-1)) + 1
    transaction.adopt_indices(nobody, nobody.astype(np.int64), bound)
    return removed


def _remove(transaction: Transaction, pseudonyms: NDArray[np.uint64]) -> int:
    indices = transaction.user_indices(pseudonyms)
    removed = transaction.erase_members(BitMap(indices[indices >= 0]))
    transaction.forget_users(pseudonyms)
    return removed


def _outdated(reader: Reader) -> BitMap:
    return reader.members(OUTDATED, OUTDATED)


def _among(user_indices: NDArray[np.int64], users: BitMap) -> NDArray[np.bool_]:
    return np.isin(user_indices, indices_of(users).astype(np.int64))


def _counted(states: Iterable[SeriesState]) -> BitMap:
    limiters = [LimiterState.from_bytes(each.limiter) for each in states if each.limiter]
    return BitMap.union(BitMap(), *(limiter.levels[0] for limiter in limiters))
