"""Deltas: what recent transactions changed of who was active, until it is merged into the shards.

To merge what a transaction changes, each (day, shard) that it touches has to be read and written,
which costs the same for one user as for ten thousand. So a transaction appends its changes as one
delta, and those of many are merged together (a log-structured merge tree, O'Neil et al. 1996, whose
lower level is changed in place). Whoever reads lays the deltas over the shards.

A delta is an ascending array of integers, each a day, a user index and whether that user was
active: 8 bytes a pair, in memory and on disk. It lies in a cell, so an erasure takes people out of
it where it is, and zeros are left of it once it is merged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.pipeline.ports import OUTDATED
from dpdau.store.sharding import SHARD_BITS, bitmap_of, indices_of
from dpdau.store.sqlite.cells import Cells, Place
from dpdau.store.sqlite.session import Session

__all__ = ["NOTHING", "Change", "Delta", "DeltaLog", "Deltas", "Pairs", "overlaid", "pairs_of"]

Pairs = NDArray[np.uint64]
"""Ascending; no user twice on a day. From the lowest bit: 1 active, 32 user index, 22 day."""

_NO_PAIRS: Pairs = np.empty(0, dtype=np.uint64)
_ONE = np.uint64(1)
_DAY_SHIFT = np.uint64(33)
_PAIR_BITS = np.uint64(55)

_SHARD_SHIFT = np.uint64(1 + SHARD_BITS)

# To merge a shard costs the same whatever changes in it. So many pairs are as large as a full one.
_PAIRS_A_SHARD = 1_024
# 8 MB.
_MOST_PAIRS = 1 << 20
_MOST_DELTAS = 64


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


@dataclass(frozen=True, slots=True)
class Delta:
    """What one transaction changed.

    Attributes:
        pairs: not to be changed.
        place: where it is stored; None if it is not.
    """

    pairs: Pairs
    place: Place | None = None

    def where(self, kept: NDArray[np.bool_]) -> "Delta":
        """The same with some of its pairs."""
        return self if kept.all() else replace(self, pairs=self.pairs[kept])


@dataclass(frozen=True, slots=True)
class Deltas:
    """Those that wait to be merged.

    Attributes:
        in_order: the newest last.
        shards: a number for each day and shard that they touch, ascending, and perhaps others.
    """

    in_order: tuple[Delta, ...] = ()
    shards: Pairs = field(default_factory=lambda: _NO_PAIRS)

    @property
    def are_due(self) -> bool:
        """Whether it is time to merge them."""
        pairs = sum(len(delta.pairs) for delta in self.in_order)
        most = min(_PAIRS_A_SHARD * len(self.shards), _MOST_PAIRS)
        return len(self.in_order) > _MOST_DELTAS or pairs > most

    def followed_by(self, delta: Delta) -> "Deltas":
        """These and a newer one."""
        shards = delta.pairs >> _SHARD_SHIFT
        distinct = shards[_starts(shards)]
        return Deltas((*self.in_order, delta), np.union1d(self.shards, distinct))

    def days(self) -> set[int]:
        """The days on which they change anything, and perhaps others."""
        return set(self._days_of_shards().tolist())

    def changes(self) -> dict[int, Change]:
        """What becomes of each day on which they change anything; ascending."""
        return _changes(overlaid([delta.pairs for delta in self.in_order]))

    def changes_between(self, first_day: int, last_day: int) -> dict[int, Change]:
        """The same for these days only (both included)."""
        bounds = np.array([max(first_day, 0), last_day + 1], dtype=np.uint64) << _DAY_SHIFT
        parts = []
        for delta in self.in_order:
            start, end = np.searchsorted(delta.pairs, bounds)
            parts.append(delta.pairs[start:end])
        return _changes(overlaid(parts))

    def parted(self, users: BitMap) -> tuple["Deltas", "Deltas"]:
        """What they change of these users, and what of all others."""
        # All at once, since a call for each delta costs more than to look at its pairs.
        are_of = np.isin((self._pairs() >> _ONE).astype(np.uint32), indices_of(users))
        return self._where(are_of), self._where(~are_of)

    def since(self, day: int) -> "Deltas":
        """What they change of a day, those after it, and of no day."""
        kept = self._where(_are_since(self._pairs() >> _DAY_SHIFT, day))
        return replace(kept, shards=self.shards[_are_since(self._days_of_shards(), day)])

    def _pairs(self) -> NDArray[np.uint64]:
        """Those of each in turn."""
        return np.concatenate([_NO_PAIRS, *(delta.pairs for delta in self.in_order)])

    def _days_of_shards(self) -> NDArray[np.uint64]:
        return self.shards >> (_DAY_SHIFT - _SHARD_SHIFT)

    def _where(self, kept: NDArray[np.bool_]) -> "Deltas":
        """The same with some of all their pairs."""
        ends = list(accumulate(len(delta.pairs) for delta in self.in_order))
        parts = zip(self.in_order, np.split(kept, ends[:-1]), strict=True) if ends else ()
        return replace(self, in_order=tuple(delta.where(part) for delta, part in parts))


class DeltaLog:
    """The deltas of a file."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._cells = Cells(session)

    def read(self) -> Deltas:
        """All of them."""
        deltas = Deltas()
        for cell, capacity, content in self._session.rows("deltas"):
            deltas = deltas.followed_by(Delta(self._pairs(content), Place(cell, capacity)))
        return deltas

    def append(self, deltas: Deltas) -> Deltas:
        """Store those that have no place yet."""
        return replace(deltas, in_order=tuple(map(self._stored, deltas.in_order)))

    def _stored(self, delta: Delta) -> Delta:
        if delta.place is not None:
            return delta
        place = self._cells.put(_bytes(delta.pairs))
        self._session.run("add_delta", cell=place.cell, capacity=place.capacity)
        return replace(delta, place=place)

    def reduce(self, deltas: Deltas, kept: Deltas) -> None:
        """Write stored deltas that have fewer pairs now over themselves."""
        for before, after in zip(deltas.in_order, kept.in_order, strict=True):
            if len(after.pairs) < len(before.pairs):
                self._cells.put(_bytes(after.pairs), after.place)

    def clear(self) -> bool:
        """Forget all of them; says whether any was there."""
        rows = self._session.rows("drop_deltas")
        self._cells.free(Place(cell, capacity) for cell, capacity in rows)
        return bool(rows)

    def _pairs(self, cell: bytes) -> Pairs:
        content = self._cells.content(cell)
        if len(content) % np.dtype("<u8").itemsize:
            raise self._session.corrupt(f"a delta holds {len(content)} bytes")
        pairs = np.frombuffer(content, dtype="<u8").astype(np.uint64)
        in_order = (pairs[1:] >> _ONE > pairs[:-1] >> _ONE).all()
        if not in_order or (pairs[-1:] >> _PAIR_BITS).any():
            raise self._session.corrupt("a delta is not in order")
        return pairs


def pairs_of(day: int, change: Change) -> Pairs:
    """A change of one day as pairs."""
    parts = [_keys(change.leaves) << _ONE, _keys(change.joins) << _ONE | _ONE]
    pairs = np.concatenate(parts) | np.uint64(day) << _DAY_SHIFT
    pairs.sort()
    return pairs


def overlaid(parts: Sequence[Pairs]) -> Pairs:
    """Several parts as one; where they share a day and user, the last part counts.

    Args:
        parts: at most 255, so that the number of each fits beside a pair.
    """
    filled = [part for part in parts if len(part)]
    if len(filled) <= 1:
        return filled[0] if filled else _NO_PAIRS
    bits = np.uint64(len(filled).bit_length())
    keys = np.concatenate(
        [
            ((part >> _ONE) << bits | np.uint64(number)) << _ONE | part & _ONE
            for number, part in enumerate(filled)
        ]
    )
    keys.sort()
    pair = keys >> (bits + _ONE)
    is_last = np.ones(len(keys), dtype=np.bool_)
    np.not_equal(pair[1:], pair[:-1], out=is_last[:-1])
    return pair[is_last] << _ONE | keys[is_last] & _ONE


def _starts(values: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Where each of some ascending values begins."""
    return np.flatnonzero(np.diff(values, prepend=~np.uint64(0)))


def _are_since(days: NDArray[np.uint64], first: int) -> NDArray[np.bool_]:
    are_since: NDArray[np.bool_] = (days >= first) | (days == OUTDATED)
    return are_since


def _changes(pairs: Pairs) -> dict[int, Change]:
    """What pairs make of each day."""
    days = pairs >> _DAY_SHIFT
    starts = _starts(days).tolist()
    ends = [*starts, len(pairs)][1:]
    changes = {}
    for start, end in zip(starts, ends, strict=True):
        joins = pairs[start:end] & _ONE == _ONE
        changes[int(days[start])] = Change(
            _users(pairs[start:end][joins]), _users(pairs[start:end][~joins])
        )
    return changes


def _users(pairs: Pairs) -> BitMap:
    """The users of one day's pairs."""
    return bitmap_of((pairs >> _ONE).astype(np.uint32))


def _bytes(pairs: Pairs) -> bytes:
    return pairs.astype("<u8").tobytes()


def _keys(users: BitMap) -> NDArray[np.uint64]:
    return indices_of(users).astype(np.uint64)
