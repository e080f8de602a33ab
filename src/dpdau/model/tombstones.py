"""What remains of erased people."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tombstones"]


@dataclass(frozen=True, slots=True)
class Tombstones:
    """What remains of erased people, so that replayed events stay refused; one column each.

    Attributes:
        pseudonyms: n distinct keyed hashes, uint64, ascending.
        erased_on: n ordinals of the erasures' days, int32; events dated before are refused.
        recorded_on: n ordinals of the days on which the erasures were carried out, int32;
            retention counts from them, so that a tombstone outlives every period that could
            still be published.
        user_indices: n indices to give back to those who return, int64, so that state which
            limits their presence in a running period still finds them; -1 for none.
    """

    pseudonyms: NDArray[np.uint64]
    erased_on: NDArray[np.int32]
    recorded_on: NDArray[np.int32]
    user_indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pseudonyms)

    def select(self, positions: NDArray[np.bool_] | NDArray[np.intp]) -> "Tombstones":
        """The tombstones at these positions, which keep their order."""
        return Tombstones(
            self.pseudonyms[positions],
            self.erased_on[positions],
            self.recorded_on[positions],
            self.user_indices[positions],
        )

    def indices_of(self, pseudonyms: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index that the tombstone of each pseudonym keeps; -1 for none.

        Args:
            pseudonyms: n distinct ones, in any order, all of these tombstones' among them.
        """
        order = np.argsort(pseudonyms)
        indices = np.full(len(pseudonyms), -1, dtype=np.int64)
        at = np.searchsorted(pseudonyms[order], self.pseudonyms)
        indices[order[at]] = self.user_indices
        return indices

    @classmethod
    def merged(cls, parts: Sequence["Tombstones"]) -> "Tombstones":
        """Several as one; where a person has more than one, the largest of each column holds.

        Nothing that any of them protects is lost by that: a person's days of erasure only grow,
        and an index, once known, stays.

        Args:
            parts: columns as above, but neither distinct nor ascending within a part.
        """
        columns = cls(
            np.concatenate([np.empty(0, np.uint64), *(part.pseudonyms for part in parts)]),
            np.concatenate([np.empty(0, np.int32), *(part.erased_on for part in parts)]),
            np.concatenate([np.empty(0, np.int32), *(part.recorded_on for part in parts)]),
            np.concatenate([np.empty(0, np.int64), *(part.user_indices for part in parts)]),
        )
        ordered = columns.select(np.argsort(columns.pseudonyms, kind="stable"))
        distinct, starts = np.unique(ordered.pseudonyms, return_index=True)
        if len(distinct) == len(ordered):
            return ordered
        return cls(
            distinct,
            np.maximum.reduceat(ordered.erased_on, starts),
            np.maximum.reduceat(ordered.recorded_on, starts),
            np.maximum.reduceat(ordered.user_indices, starts),
        )
