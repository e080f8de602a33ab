"""The flippancy limiter: keeps every user's counted presence within a bounded number of runs.

Falls are always allowed, so an erased or lapsed user is never held; a rise is allowed while the
user has had fewer than `runs` rises in the period. Being present on the first day is a rise. All
users are treated at once, by bitmap algebra over user indices, in time that grows with the
number of containers of 65,536 indices and not with the number of users.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from pyroaring import BitMap

from dpdau.errors import InvalidValueError, StoreError

__all__ = ["Advance", "LimiterState"]

_MAGIC = b"dpdauLS1"
_COUNT = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class LimiterState:
    """Who is counted now, and how often each user has begun to be, in one period.

    Treat the bitmaps as frozen. The state is private: it is data, not a release.

    Attributes:
        current: the users counted on the last day.
        levels: `levels[i]` are the users with at least i + 1 rises; one entry for every rise
            that the presence set allows, each a subset of the one before.
    """

    current: BitMap
    levels: tuple[BitMap, ...]

    @classmethod
    def empty(cls, runs: int) -> Self:
        """The state before a period's first day.

        Args:
            runs: how many runs a user may have, at least 1.

        Raises:
            InvalidValueError: fewer than one run.
        """
        if runs < 1:
            raise InvalidValueError("runs", runs, "at least 1")
        return cls(BitMap(), tuple(BitMap() for _ in range(runs)))

    @property
    def runs(self) -> int:
        """How many runs a user may have."""
        return len(self.levels)

    def advance(self, present: BitMap) -> "Advance":
        """Close one day.

        Formal guarantees:
            Over the days of a period, the days on which a user index is in `counted` form at
            most `runs` runs, whatever sequence of `present` is given: each run begins with a
            rise, a rise moves the user up one level, levels are never lowered, and a user on
            the last level cannot rise. What is counted of one user depends on that user's own
            presence only. So if users keep their index for the whole period, also over an
            erasure and a return, adding or removing one user's stream moves the vector of
            counts by a vector of the presence set.

        Args:
            present: the users present according to the data.
        """
        wanting = present - self.current
        rises = wanting - self.levels[-1]
        counted = (self.current & present) | rises
        levels = []
        reached = rises
        for level in self.levels:
            # A user who rises and was on this level already goes on to the next one.
            levels.append(level | reached)
            reached = reached & level
        dropped = len(wanting) - len(rises)
        return Advance(counted, LimiterState(counted, tuple(levels)), dropped)

    def to_bytes(self) -> bytes:
        """The state as bytes: a mark, the number of levels, and length-prefixed Roaring bitmaps."""
        parts = [_MAGIC, _COUNT.pack(len(self.levels))]
        for bitmap in (self.current, *self.levels):
            data = bitmap.serialize()
            parts += [_LENGTH.pack(len(data)), data]
        return b"".join(parts)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            StoreError: the bytes are damaged, or no limiter's state.
        """
        try:
            bitmaps = _read_bitmaps(data)
        except (ValueError, IndexError, struct.error) as error:
            raise StoreError(
                f"{len(data):,} bytes are no flippancy limiter's state ({error}). "
                "The store is damaged: restore a backup."
            ) from None
        return cls(bitmaps[0], tuple(bitmaps[1:]))


@dataclass(frozen=True, slots=True)
class Advance:
    """What one day's closing gives.

    Attributes:
        counted: the users to count on that day.
        state: the state for the next day.
        dropped: how many present users are not counted because they have no rises left.
            Private, like the state.
    """

    counted: BitMap
    state: LimiterState
    dropped: int


def _read_bitmaps(data: bytes) -> list[BitMap]:
    """The current users and the levels.

    Raises:
        ValueError: the bytes, or what they say, cannot be a state.
        IndexError: a bitmap has no bytes.
        struct.error: the bytes end early.
    """
    if not data.startswith(_MAGIC):
        raise ValueError("the mark at the start is missing")
    (levels,) = _COUNT.unpack_from(data, len(_MAGIC))
    position = len(_MAGIC) + _COUNT.size
    bitmaps = []
    for _ in range(levels + 1):
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size
        chunk = data[position : position + length]
        if len(chunk) != length:
            raise ValueError("a bitmap is cut off")
        bitmaps.append(BitMap.deserialize(chunk))
        position += length
    if position != len(data):
        raise ValueError("there are bytes after the last bitmap")
    if levels < 1 or not bitmaps[0] <= bitmaps[1]:
        raise ValueError("a user is counted without a rise")
    if not all(upper <= lower for lower, upper in pairwise(bitmaps[1:])):
        raise ValueError("a user is on a level without the one below")
    return bitmaps
