"""Unions of days, kept so that a window that moves on need not be united again as a whole.

A range of days falls into blocks of 2^k days that begin at multiples of 2^k, at most two of each
size (a dyadic decomposition). Of a block nothing changes while its days do not, and those long
past hardly ever do.
"""

import weakref
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from threading import Lock

from pyroaring import BitMap

from dpdau.store.sqlite.shards import Day

__all__ = ["Unions"]

# About 1.2 MB each for ten million users; a window of thirty days has seven at most.
_MOST_BLOCKS = 24


class Unions:
    """The unions of some blocks of days.

    What it gives depends on the days that it is asked about and on nothing else.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[range, tuple[list[weakref.ref[Day]], BitMap]] = OrderedDict()

    def of(self, days: Mapping[int, Day], apart: Collection[int] = ()) -> list[BitMap]:
        """Who was active on consecutive days, in few bitmaps that are not to be changed.

        Args:
            days: who was active on each, ascending.
            apart: days that are left out.
        """
        if not days:
            return []
        blocks = _blocks(min(days), max(days), apart)
        return [self._union([days[day] for day in block], block) for block in blocks]

    def _union(self, days: list[Day], block: range) -> BitMap:
        if len(days) == 1:
            return days[0].everyone()
        with self._lock:
            of, union = self._kept.get(block, ([], None))
            if union is not None and all(a() is b for a, b in zip(of, days, strict=True)):
                self._kept.move_to_end(block)
                return union
        union = BitMap.union(*(day.everyone() for day in days))
        with self._lock:
            self._kept[block] = [weakref.ref(day) for day in days], union
            self._kept.move_to_end(block)
            while len(self._kept) > _MOST_BLOCKS:
                self._kept.popitem(last=False)
        return union


def _blocks(first: int, last: int, apart: Collection[int]) -> Iterator[range]:
    """The fewest aligned blocks of 2^k days that make up a range without some days."""
    day = first
    while day <= last:
        size = day & -day or 1
        while size > 1 and (day + size > last + 1 or any(day <= a < day + size for a in apart)):
            size //= 2
        if size > 1 or day not in apart:
            yield range(day, day + size)
        day += size
