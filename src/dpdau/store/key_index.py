"""Where each key stands: an immutable map from 64-bit hashes to slots, in sorted arrays.

Twelve bytes a key. Look-ups take a batch of keys at once and cost a binary search each; a change
gives a new map that shares what stayed, so a reader's map never changes under it and undoing is
keeping the former one.

The keys are divided into leaves by range. A leaf has a large sorted run and a small one of recent
changes, which are merged when the small one has grown (a log-structured merge tree of two levels,
O'Neil et al. 1996), so that no single change has to move more than one leaf's keys.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_SLOT", "KeyIndex"]

# Stands for a key that has no slot any more.
NO_SLOT = 2**32 - 1

_MAX_LEAF_KEYS = 1 << 18
_MIN_RECENT_KEYS = 1 << 12

_Keys = NDArray[np.uint64]
_Slots = NDArray[np.uint32]


def _no_keys() -> _Keys:
    return np.empty(0, dtype=np.uint64)


def _no_slots() -> _Slots:
    return np.empty(0, dtype=np.uint32)


@dataclass(frozen=True, slots=True)
class _Run:
    """Ascending distinct keys and their slots."""

    keys: _Keys = field(default_factory=_no_keys)
    slots: _Slots = field(default_factory=_no_slots)

    def find(self, keys: _Keys) -> tuple[NDArray[np.bool_], _Slots]:
        """Whether each of these ascending keys is here, and its slot where it is."""
        if not len(self.keys):
            return np.zeros(len(keys), dtype=np.bool_), np.zeros(len(keys), dtype=np.uint32)
        at = np.searchsorted(self.keys, keys)
        np.minimum(at, len(self.keys) - 1, out=at)
        return self.keys[at] == keys, self.slots[at]

    def overlaid(self, newer: "_Run") -> "_Run":
        """Both runs as one; where they share a key, the newer slot counts."""
        at = np.searchsorted(self.keys, newer.keys)
        shared = np.zeros(len(newer.keys), dtype=np.bool_)
        inside = at < len(self.keys)
        shared[inside] = self.keys[at[inside]] == newer.keys[inside]
        slots = self.slots.copy()
        slots[at[shared]] = newer.slots[shared]
        added = ~shared
        return _Run(
            np.insert(self.keys, at[added], newer.keys[added]),
            np.insert(slots, at[added], newer.slots[added]),
        )

    def without_removed(self) -> "_Run":
        """The keys that have a slot."""
        kept = self.slots != NO_SLOT
        return self if kept.all() else _Run(self.keys[kept], self.slots[kept])

    def between(self, start: int, end: int) -> "_Run":
        """The keys at these positions, apart from the others in memory."""
        return _Run(self.keys[start:end].copy(), self.slots[start:end].copy())


@dataclass(frozen=True, slots=True)
class _Leaf:
    """The keys of one range."""

    settled: _Run
    recent: _Run = field(default_factory=_Run)

    def find(self, keys: _Keys) -> _Slots:
        known, slots = self.settled.find(keys)
        slots = np.where(known, slots, np.uint32(NO_SLOT))
        if len(self.recent.keys):
            changed, newer = self.recent.find(keys)
            slots = np.where(changed, newer, slots)
        return slots

    def put(self, newer: _Run, patience: int) -> Iterator["_Leaf"]:
        """One leaf with the changes, or two if it has grown too large.

        Args:
            newer: the changes.
            patience: how many eighths later than others this leaf merges, so that they do not
                all do so in the same moment.
        """
        recent = self.recent.overlaid(newer)
        allowed = max(len(self.settled.keys) >> 4, _MIN_RECENT_KEYS)
        if len(recent.keys) <= allowed + (allowed * patience >> 3):
            yield _Leaf(self.settled, recent)
            return
        run = self.settled.overlaid(recent).without_removed()
        for start, end in _divided(len(run.keys)):
            yield _Leaf(run.between(start, end))


class KeyIndex:
    """An immutable map from keys (uint64) to slots (0 to 2³² - 2)."""

    __slots__ = ("_bounds", "_leaves")

    def __init__(self, leaves: Sequence[_Leaf] = (), bounds: Sequence[_Keys] = ()) -> None:
        self._leaves = leaves or (_Leaf(_Run()),)
        # The least key that may be in each leaf but the first.
        self._bounds = np.concatenate([_no_keys(), *bounds])

    @classmethod
    def of(cls, keys: _Keys) -> "KeyIndex":
        """A map in which each key has its position as slot; 0 stands for no key."""
        slots = np.argsort(keys).astype(np.uint32)
        slots = slots[len(keys) - np.count_nonzero(keys) :]
        parts = [slots[start:end] for start, end in _divided(len(slots))]
        # One leaf after another, so that the whole is never in memory once more.
        leaves = [_Leaf(_Run(keys[part], part.copy())) for part in parts]
        return cls(leaves, [leaf.settled.keys[:1] for leaf in leaves[1:]])

    def find(self, keys: _Keys) -> NDArray[np.int64]:
        """The slot of each key, in the same order; -1 where it has none.

        Args:
            keys: n keys in any order; ascending ones are found fastest.
        """
        if len(keys) > 1 and (keys[1:] < keys[:-1]).any():
            order = np.argsort(keys)
            slots = np.empty(len(keys), dtype=np.int64)
            slots[order] = self.find(keys[order])
            return slots
        found = np.empty(len(keys), dtype=np.uint32)
        for leaf, start, end in self._parts(keys):
            found[start:end] = self._leaves[leaf].find(keys[start:end])
        return np.where(found == NO_SLOT, -1, found.astype(np.int64))

    def put(self, keys: _Keys, slots: _Slots | None = None) -> "KeyIndex":
        """A map in which these distinct keys have these slots; none, if none are given."""
        if slots is None:
            slots = np.full(len(keys), NO_SLOT, dtype=np.uint32)
        order = np.argsort(keys)
        newer = _Run(keys[order], slots[order])
        leaves: list[_Leaf] = []
        bounds: list[_Keys] = []
        changes = {leaf: (start, end) for leaf, start, end in self._parts(newer.keys)}
        for number, leaf in enumerate(self._leaves):
            parts = [leaf]
            if number in changes:
                parts = list(leaf.put(newer.between(*changes[number]), patience=number % 8))
            bounds += [self._bounds[number - 1 : number]] if number else []
            bounds += [part.settled.keys[:1] for part in parts[1:]]
            leaves += parts
        return KeyIndex(leaves, bounds)

    def keys_at(self, first: int, last: int) -> _Keys:
        """The keys whose slot lies in a range, both ends included."""
        inside = [run.keys[(run.slots >= first) & (run.slots <= last)] for run in self._runs()]
        return np.concatenate(inside)

    def slots(self) -> _Slots:
        """The slots that some key has, in no order."""
        return np.concatenate([run.slots for run in self._runs()])

    def _runs(self) -> Iterator[_Run]:
        """What each leaf holds."""
        for leaf in self._leaves:
            yield leaf.settled.overlaid(leaf.recent).without_removed()

    def _parts(self, keys: _Keys) -> Iterator[tuple[int, int, int]]:
        """The leaves that these ascending keys belong to, and where each one's keys are."""
        ends = [*np.searchsorted(keys, self._bounds).tolist(), len(keys)]
        start = 0
        for leaf, end in enumerate(ends):
            if end > start:
                yield leaf, start, end
            start = end


def _divided(size: int) -> Iterator[tuple[int, int]]:
    """Where to cut a run, if it is too large for one leaf; parts then have room to grow."""
    count = 1 if size <= _MAX_LEAF_KEYS else -(-size // (_MAX_LEAF_KEYS // 2))
    for number in range(count):
        yield size * number // count, size * (number + 1) // count
