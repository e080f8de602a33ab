"""Pairs: who became active on which day, or was taken off it, as one array of integers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.model.bitmaps import bitmap_of, indices_of

__all__ = [
    "DAY_SHIFT",
    "NOTHING",
    "NO_PAIRS",
    "PAIR_BITS",
    "USER_SHIFT",
    "Change",
    "Pairs",
    "changes_of",
    "overlaid",
    "pairs_of",
    "pairs_of_day",
    "starts_of",
]

Pairs: TypeAlias = NDArray[np.uint64]
"""Ascending; no user twice on a day. From the lowest bit: 1 active, 32 user index, 22 day."""

USER_SHIFT = np.uint64(1)
DAY_SHIFT = np.uint64(33)
PAIR_BITS = np.uint64(55)

NO_PAIRS: Pairs = np.empty(0, dtype=np.uint64)

_ACTIVE = np.uint64(1)
# So that the number of each fits beside a pair.
_MOST_PARTS = 255


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a day; nobody is in both, and neither is to be changed.

    Attributes:
        joins: who was active.
        leaves: who was not.
    """

    joins: BitMap
    leaves: BitMap

    def applied_to(self, members: BitMap) -> BitMap:
        """Who was active, if these were before."""
        return (members - self.leaves) | self.joins


NOTHING = Change(BitMap(), BitMap())


def pairs_of(
    days: NDArray[np.integer[Any]],
    user_indices: NDArray[np.integer[Any]],
    active: NDArray[np.bool_],
) -> Pairs:
    """What became of n users, each on a day; no user twice on one.

    Args:
        days: n ordinals.
        user_indices: n indices.
        active: n booleans.
    """
    pairs = days.astype(np.uint64) << DAY_SHIFT
    pairs |= user_indices.astype(np.uint64) << USER_SHIFT
    pairs |= active
    pairs.sort()
    return pairs


def pairs_of_day(day: int, change: Change) -> Pairs:
    """A change of one day as pairs."""
    indices = np.concatenate([indices_of(change.joins), indices_of(change.leaves)])
    active = np.arange(len(indices)) < len(change.joins)
    return pairs_of(np.full(len(indices), day), indices, active)


def changes_of(pairs: Pairs) -> dict[int, Change]:
    """What pairs make of each day that they name; ascending."""
    days = pairs >> DAY_SHIFT
    starts = starts_of(days).tolist()
    ends = [*starts, len(pairs)][1:]
    changes = {}
    for start, end in zip(starts, ends, strict=True):
        joins = pairs[start:end] & _ACTIVE == _ACTIVE
        changes[int(days[start])] = Change(
            _users(pairs[start:end][joins]), _users(pairs[start:end][~joins])
        )
    return changes


def overlaid(parts: Sequence[Pairs]) -> Pairs:
    """Several parts as one; where they share a day and user, the last part counts."""
    filled = [part for part in parts if len(part)]
    if len(filled) <= 1:
        return filled[0] if filled else NO_PAIRS
    if all(part[-1] | _ACTIVE < other[0] for part, other in pairwise(filled)):
        return np.concatenate(filled)
    if len(filled) > _MOST_PARTS:
        return overlaid([overlaid(filled[:_MOST_PARTS]), *filled[_MOST_PARTS:]])
    bits = np.uint64(len(filled).bit_length())
    keys = np.concatenate(
        [
            ((part >> USER_SHIFT) << bits | np.uint64(number)) << _ACTIVE | part & _ACTIVE
            for number, part in enumerate(filled)
        ]
    )
    keys.sort()
    pair = keys >> (bits + _ACTIVE)
    is_last = np.ones(len(keys), dtype=np.bool_)
    np.not_equal(pair[1:], pair[:-1], out=is_last[:-1])
    return pair[is_last] << USER_SHIFT | keys[is_last] & _ACTIVE


def starts_of(values: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Where each of some ascending values begins."""
    return np.flatnonzero(np.diff(values, prepend=~np.uint64(0)))


def _users(pairs: Pairs) -> BitMap:
    """The users of one day's pairs."""
    return bitmap_of((pairs >> USER_SHIFT).astype(np.uint32))
