"""Unions of days, kept so that a window that moves on need not be united again as a whole.

A range of days falls into blocks of 2^k days that begin at multiples of 2^k, at most two of each
size (a dyadic decomposition). Of a block nothing changes while its days do not, and those long
past hardly ever do.
"""

import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from threading import Lock
from typing import TypeAlias

from pyroaring import BitMap

from dpdau.store.sqlite.shards import Day

__all__ = ["Unions"]

# About 1.2 MB each for ten million users; a window of thirty days has eight blocks at most.
_MOST_UNIONS = 24

_Days: TypeAlias = Mapping[int, Day]
"""Who was active on each of some consecutive days, ascending."""


class Unions:
    """The unions of some windows and of the blocks that they fall into.

    What it gives depends on the days that it is asked about and on nothing else.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[range, tuple[list[weakref.ref[Day]], BitMap]] = OrderedDict()

    def of(self, days: _Days) -> BitMap:
        """Who was active on any of some days; not to be changed."""
        return self._remembered(days, self._of_blocks)

    def _of_blocks(self, days: _Days) -> BitMap:
        blocks = [{day: days[day] for day in block} for block in _blocks(_range(days))]
        return BitMap.union(BitMap(), *(self._remembered(block, _united) for block in blocks))

    def _remembered(self, days: _Days, unite: Callable[[_Days], BitMap]) -> BitMap:
        if len(days) <= 1:
            return _united(days)
        of, union = self._kept.get(_range(days), ([], None))
        if union is None or not all(map(_is, of, days.values())):
            of, union = [weakref.ref(day) for day in days.values()], unite(days)
        with self._lock:
            self._kept[_range(days)] = of, union
            self._kept.move_to_end(_range(days))
            while len(self._kept) > _MOST_UNIONS:
                self._kept.popitem(last=False)
        return union


def _range(days: _Days) -> range:
    return range(min(days), max(days) + 1)


def _is(known: weakref.ref[Day], day: Day) -> bool:
    return known() is day


def _united(days: _Days) -> BitMap:
    if len(days) == 1:
        (day,) = days.values()
        return day.everyone()
    return BitMap.union(BitMap(), *(day.everyone() for day in days.values()))


def _blocks(days: range) -> Iterator[range]:
    """The fewest blocks of 2^k days, each beginning at a multiple of its size."""
    day = days.start
    while day < days.stop:
        size = day & -day or 1
        while day + size > days.stop:
            size //= 2
        yield range(day, day + size)
        day += size
