"""Keeping the journal of erasures complete without reading or writing it whole.

Tombstones are appended after their transaction is durable and before their erasure is called
done. Those of this process are remembered until then; where that is not enough, since a process
died in between or another one erased, the journal is compared with the store.
"""

import threading
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from dpdau.pipeline.ports import ErasureJournal, Store, Tombstones

__all__ = ["JournalKeeper"]


class JournalKeeper:
    """Carries tombstones from the store to the journal."""

    def __init__(self, store: Store, journal: ErasureJournal) -> None:
        self._store = store
        self._journal = journal
        self._pending: dict[str, Tombstones] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Make the journal of a store that has none, such as one of a version that kept none."""
        if not self._journal.exists():
            self._complete()

    def since(self, day: date) -> Tombstones:
        """The tombstones that it has of erasures carried out on a day or later."""
        kept = self._journal.read()
        return kept.select(kept.recorded_on >= day.toordinal())

    def committed(self, erasure_id: str, tombstones: Tombstones) -> None:
        """Remember the tombstones of an erasure that is durable in the store."""
        with self._lock:
            self._pending[erasure_id] = tombstones

    def take(self) -> dict[str, Tombstones]:
        """What `committed` was told of since the last time, by erasure."""
        with self._lock:
            taken, self._pending = self._pending, {}
        return taken

    def sync(self, erasure_ids: Sequence[str], taken: Mapping[str, Tombstones]) -> None:
        """Make the tombstones of these erasures durable in the journal.

        Args:
            erasure_ids: erasures that the store has.
            taken: the tombstones of those that are known.
        """
        if taken.keys() >= set(erasure_ids) and self._journal.exists():
            self._journal.append(Tombstones.merged([taken[each] for each in erasure_ids]))
        else:
            self._complete()

    def drop_before(self, day: date) -> None:
        """Forget tombstones recorded before a day."""
        self._journal.drop_before(day.toordinal())

    def _complete(self) -> None:
        """Append what the store has and the journal lacks.

        What only the journal has stays there: the store may be an older copy that was put back.
        """
        with self._store.read() as reader:
            kept = reader.tombstones()
        self._journal.append(kept.select(~_contains(self._journal.read(), kept)))


def _contains(journal: Tombstones, kept: Tombstones) -> NDArray[np.bool_]:
    """Which of some tombstones a journal has, or has more of."""
    if len(journal) == 0:
        return np.zeros(len(kept), dtype=np.bool_)
    at = np.minimum(np.searchsorted(journal.pseudonyms, kept.pseudonyms), len(journal) - 1)
    found = journal.select(at)
    has: NDArray[np.bool_] = found.pseudonyms == kept.pseudonyms
    has &= found.erased_on >= kept.erased_on
    has &= found.recorded_on >= kept.recorded_on
    has &= found.user_indices >= kept.user_indices
    return has
