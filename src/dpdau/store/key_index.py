"""Where each key stands: an immutable map from 64-bit hashes to slots, in sorted arrays.

Thirteen bytes a key. Look-ups take a batch of keys at once. Hashes are spread evenly, so a directory
of equal ranges leads to within a few places of each (Peterson's interpolation search, 1957, with its
guesses made beforehand), whatever the size. A change gives a new map that shares what stayed, so a
reader's map never changes under it and undoing is keeping the former one.

Most keys lie in leaves, each of one range. Changes wait in a small run, then in a larger one, and go
into one leaf at a time (a log-structured merge tree, O'Neil et al. 1996), so that no single change
has to move more than a leaf's keys and those that wait.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_SLOT", "KeyIndex"]

# Stands for a key that has no slot any more.
NO_SLOT = 2**32 - 1

_MAX_LEAF_KEYS = 1 << 21
_MAX_NEWEST_KEYS = 1 << 13
# The recent keys are a sixteenth of all, and not fewer than this.
_MIN_RECENT_KEYS = 1 << 15
_RANGE_KEYS = 8
_PART_KEYS = 1 << 16

_Keys = NDArray[np.uint64]
_Slots = NDArray[np.uint32]


def _no_keys() -> _Keys:
    return np.empty(0, dtype=np.uint64)


def _no_slots() -> _Slots:
    return np.empty(0, dtype=np.uint32)


class _Directory:
    """Where to look for a key among ascending ones, of which there is at least one."""

    __slots__ = ("_first", "_last", "_shift", "_starts", "_steps")

    def __init__(self, keys: _Keys) -> None:
        self._first, self._last = keys[0], keys[-1]
        span = int(self._last - self._first)
        ranges_bits = max(len(keys) // _RANGE_KEYS, 1).bit_length()
        self._shift = np.uint64(max(span.bit_length() - ranges_bits, 0))
        sizes = np.zeros(int(self._ranges_of(keys[-1:])[0]) + 1, dtype=np.uint32)
        # A part after another, since for all at once it takes several times their memory.
        for start in range(0, len(keys), _PART_KEYS):
            ranges = self._ranges_of(keys[start : start + _PART_KEYS])
            here = np.bincount(ranges - ranges[0])
            sizes[ranges[0] : ranges[0] + len(here)] += here.astype(np.uint32)
        self._starts = np.zeros(len(sizes), dtype=np.uint32)
        np.cumsum(sizes[:-1], out=self._starts[1:])
        self._steps = [1 << bit for bit in reversed(range(int(sizes.max()).bit_length()))]

    def places_in(self, keys: _Keys, wanted: _Keys) -> NDArray[np.intp]:
        """Where each wanted key is, or else the place of another one.

        Args:
            keys: those that the directory was made for.
            wanted: in any order; ascending ones are found fastest.
        """
        inside = np.clip(wanted, self._first, self._last)
        at = self._starts[self._ranges_of(inside)].astype(np.intp)
        for step in self._steps:
            # No key behind the range of a wanted one is below it, nor is the last of all.
            at += (keys.take(at + (step - 1), mode="clip") < inside) * step
        return at

    def _ranges_of(self, keys: _Keys) -> NDArray[np.intp]:
        ranges: NDArray[np.intp] = ((keys - self._first) >> self._shift).astype(np.intp)
        return ranges


@dataclass(slots=True, eq=False)
class _Run:
    """Ascending distinct keys and their slots; not to be changed."""

    keys: _Keys = field(default_factory=_no_keys)
    slots: _Slots = field(default_factory=_no_slots)
    _directory: _Directory | None = None

    def find(self, keys: _Keys) -> tuple[NDArray[np.bool_], _Slots]:
        """Whether each of these keys is here, and its slot where it is."""
        if not len(self.keys):
            return np.zeros(len(keys), dtype=np.bool_), np.zeros(len(keys), dtype=np.uint32)
        at = self.directory().places_in(self.keys, keys)
        return self.keys[at] == keys, self.slots[at]

    def directory(self) -> _Directory:
        """Made when first asked for, since many runs are only on the way to a larger one."""
        if self._directory is None:
            self._directory = _Directory(self.keys)
        return self._directory

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

    def divided(self) -> list["_Run"]:
        """The same keys as one leaf or several."""
        ends = [*_divided(len(self.keys))]
        return [self] if len(ends) == 1 else [self.between(*each) for each in ends]

    def without(self, start: int, end: int) -> "_Run":
        """The keys at all other positions."""
        gone = np.s_[start:end]
        return _Run(np.delete(self.keys, gone), np.delete(self.slots, gone))


class KeyIndex:
    """An immutable map from keys (uint64) to slots (0 to 2³² - 2)."""

    __slots__ = ("_bounds", "_leaves", "_newest", "_recent")

    def __init__(
        self,
        leaves: Sequence[_Run] = (),
        bounds: _Keys | None = None,
        recent: _Run | None = None,
        newest: _Run | None = None,
    ) -> None:
        """An empty map; the arguments are this class's own.

        Args:
            leaves: what has settled, each a range of keys.
            bounds: the least key that may be in each leaf but the first.
            recent: changes that go into the leaves next.
            newest: changes that go into the recent ones next.
        """
        self._leaves = tuple(leaves) or (_Run(),)
        self._bounds = _no_keys() if bounds is None else bounds
        self._recent = recent or _Run()
        self._newest = newest or _Run()

    @classmethod
    def of(cls, keys: _Keys) -> "KeyIndex":
        """A map in which each key has its position as slot; 0 stands for no key."""
        slots = np.argsort(keys).astype(np.uint32)
        slots = slots[len(keys) - np.count_nonzero(keys) :]
        parts = [slots[start:end] for start, end in _divided(len(slots))]
        # One leaf after another, so that the whole is never in memory once more.
        leaves = [_Run(keys[part], part.copy()) for part in parts]
        for leaf in leaves:
            if len(leaf.keys):
                leaf.directory()
        return cls(leaves, _bounds_of(leaves))

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
        found = np.full(len(keys), NO_SLOT, dtype=np.uint32)
        for leaf, start, end in self._parts(keys):
            here, there = self._leaves[leaf].find(keys[start:end])
            np.copyto(found[start:end], there, where=here)
        for run in (self._recent, self._newest):
            here, there = run.find(keys)
            np.copyto(found, there, where=here)
        return np.where(found == NO_SLOT, -1, found.astype(np.int64))

    def put(self, keys: _Keys, slots: _Slots | None = None) -> "KeyIndex":
        """A map in which these distinct keys have these slots; none, if none are given."""
        if slots is None:
            slots = np.full(len(keys), NO_SLOT, dtype=np.uint32)
        order = np.argsort(keys)
        newest = self._newest.overlaid(_Run(keys[order], slots[order]))
        if len(newest.keys) <= _MAX_NEWEST_KEYS:
            return KeyIndex(self._leaves, self._bounds, self._recent, newest)
        index = KeyIndex(self._leaves, self._bounds, self._recent.overlaid(newest))
        while len(index._recent.keys) > index._max_recent_keys():
            index = index._with_fullest_leaf_merged()
        return index

    def keys_at(self, first: int, last: int) -> _Keys:
        """The keys whose slot lies in a range, both ends included."""
        inside = [run.keys[(run.slots >= first) & (run.slots <= last)] for run in self._runs()]
        return np.concatenate(inside)

    def slots(self) -> _Slots:
        """The slots that some key has, in no order."""
        return np.concatenate([run.slots for run in self._runs()])

    def _max_recent_keys(self) -> int:
        return max(sum(len(leaf.keys) for leaf in self._leaves) >> 4, _MIN_RECENT_KEYS)

    def _with_fullest_leaf_merged(self) -> "KeyIndex":
        """The same map; the leaf for which most recent keys wait has taken them in."""
        number, start, end = max(self._parts(self._recent.keys), key=lambda part: part[2] - part[1])
        waiting = self._recent.between(start, end)
        parts = self._leaves[number].overlaid(waiting).without_removed().divided()
        return KeyIndex(
            [*self._leaves[:number], *parts, *self._leaves[number + 1 :]],
            np.insert(self._bounds, number, _bounds_of(parts)),
            self._recent.without(start, end),
            self._newest,
        )

    def _runs(self) -> Iterator[_Run]:
        """All keys that have a slot, leaf by leaf."""
        changes = self._recent.overlaid(self._newest)
        parts = {leaf: (start, end) for leaf, start, end in self._parts(changes.keys)}
        for number, leaf in enumerate(self._leaves):
            yield leaf.overlaid(changes.between(*parts.get(number, (0, 0)))).without_removed()

    def _parts(self, keys: _Keys) -> Iterator[tuple[int, int, int]]:
        """The leaves that these ascending keys belong to, and where each one's keys are."""
        ends = [*np.searchsorted(keys, self._bounds).tolist(), len(keys)]
        start = 0
        for leaf, end in enumerate(ends):
            if end > start:
                yield leaf, start, end
            start = end


def _bounds_of(leaves: Sequence[_Run]) -> _Keys:
    """Where each leaf but the first begins."""
    return np.concatenate([_no_keys(), *(leaf.keys[:1] for leaf in leaves[1:])])


def _divided(size: int) -> Iterator[tuple[int, int]]:
    """Where to cut a run, if it is too large for one leaf; parts then have room to grow."""
    count = 1 if size <= _MAX_LEAF_KEYS else -(-size // (_MAX_LEAF_KEYS // 2))
    for number in range(count):
        yield size * number // count, size * (number + 1) // count
