"""Deltas: what recent transactions changed of who was active, until it is merged into the shards.

To merge what a transaction changes, each (day, shard) that it touches has to be read and written,
which costs the same for one user as for ten thousand. So a transaction appends its changes as one
delta, and those of many are merged together (a log-structured merge tree, O'Neil et al. 1996, whose
lower level is changed in place). Whoever reads lays the deltas over the shards.

A delta is an ascending array of integers, each a day, a user index and whether that user was
active: 8 bytes a pair, in memory and on disk. It lies in a cell, so an erasure takes people out of
it where it is, and zeros are left of it once it is merged.
"""

from dataclasses import dataclass, field, replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.model.bitmaps import indices_of
from dpdau.model.pairs import (
    DAY_SHIFT,
    NO_PAIRS,
    PAIR_BITS,
    USER_SHIFT,
    Change,
    Pairs,
    changes_of,
    overlaid,
    starts_of,
)
from dpdau.pipeline.ports import OUTDATED
from dpdau.store.sharding import SHARD_BITS
from dpdau.store.sqlite.cells import Cells, Place
from dpdau.store.sqlite.session import Session

__all__ = ["Delta", "DeltaLog", "Deltas"]

_SHARD_SHIFT = USER_SHIFT + np.uint64(SHARD_BITS)

# To merge a shard costs the same whatever changes in it. So many pairs are as large as a full one.
_PAIRS_A_SHARD = 1_024
# 8 MB.
_MOST_PAIRS = 1 << 20
_MOST_DELTAS = 64


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
    shards: Pairs = field(default_factory=lambda: NO_PAIRS)

    @property
    def are_due(self) -> bool:
        """Whether it is time to merge them."""
        pairs = sum(len(delta.pairs) for delta in self.in_order)
        most = min(_PAIRS_A_SHARD * len(self.shards), _MOST_PAIRS)
        return len(self.in_order) > _MOST_DELTAS or pairs > most

    def followed_by(self, delta: Delta) -> "Deltas":
        """These and a newer one."""
        shards = delta.pairs >> _SHARD_SHIFT
        both = np.concatenate([self.shards, shards[starts_of(shards)]])
        both.sort(kind="stable")  # which finds that these are two runs in order
        return Deltas((*self.in_order, delta), both[starts_of(both)])

    def days(self) -> set[int]:
        """The days on which they change anything, and perhaps others."""
        return set(self._days_of_shards().tolist())

    def changes(self) -> dict[int, Change]:
        """What becomes of each day on which they change anything; ascending."""
        return changes_of(overlaid([delta.pairs for delta in self.in_order]))

    def changes_between(self, first_day: int, last_day: int) -> dict[int, Change]:
        """The same for these days only (both included)."""
        bounds = np.array([max(first_day, 0), last_day + 1], dtype=np.uint64) << DAY_SHIFT
        parts = []
        for delta in self.in_order:
            start, end = np.searchsorted(delta.pairs, bounds)
            parts.append(delta.pairs[start:end])
        return changes_of(overlaid(parts))

    def parted(self, users: BitMap) -> tuple["Deltas", "Deltas"]:
        """What they change of these users, and what of all others."""
        # All at once, since a call for each delta costs more than to look at its pairs.
        are_of = np.isin((self._pairs() >> USER_SHIFT).astype(np.uint32), indices_of(users))
        return self._where(are_of), self._where(~are_of)

    def since(self, day: int) -> "Deltas":
        """What they change of a day, those after it, and of no day."""
        kept = self._where(_are_since(self._pairs() >> DAY_SHIFT, day))
        return replace(kept, shards=self.shards[_are_since(self._days_of_shards(), day)])

    def _pairs(self) -> NDArray[np.uint64]:
        """Those of each in turn."""
        return np.concatenate([NO_PAIRS, *(delta.pairs for delta in self.in_order)])

    def _days_of_shards(self) -> NDArray[np.uint64]:
        return self.shards >> (DAY_SHIFT - _SHARD_SHIFT)

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
        in_order = (pairs[1:] >> USER_SHIFT > pairs[:-1] >> USER_SHIFT).all()
        if not in_order or (pairs[-1:] >> PAIR_BITS).any():
            raise self._session.corrupt("a delta is not in order")
        return pairs


def _are_since(days: NDArray[np.uint64], first: int) -> NDArray[np.bool_]:
    are_since: NDArray[np.bool_] = (days >= first) | (days == OUTDATED)
    return are_since


def _bytes(pairs: Pairs) -> bytes:
    return pairs.astype("<u8").tobytes()
