"""Unions of days against unions of days."""

import weakref
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from dpdau.store.sqlite import unions as module
from dpdau.store.sqlite.shards import Day
from dpdau.store.sqlite.unions import Unions

BOUNDS = st.integers(-10, 200)


def a_day(*users: int) -> Day:
    return Day({0: BitMap(users)})


def everyone(bitmaps: Iterable[BitMap]) -> set[int]:
    return set(BitMap.union(BitMap(), *bitmaps))


@given(BOUNDS, BOUNDS, st.frozensets(BOUNDS, max_size=5))
def test_blocks_are_few_and_make_up_the_days(first: int, last: int, apart: frozenset[int]) -> None:
    blocks = list(module._blocks(first, last, apart))  # noqa: SLF001
    days = [day for block in blocks for day in block]
    assert days == [day for day in range(first, last + 1) if day not in apart]
    assert all(block.start % len(block) == 0 for block in blocks)
    if not apart and first > 0:
        assert all(sum(len(b) == len(block) for b in blocks) <= 2 for block in blocks)


@given(st.data())
def test_what_is_united_is_what_the_days_are_now(data: st.DataObject) -> None:
    unions, days = Unions(), {day: a_day(day) for day in range(20, 40)}
    for _ in range(data.draw(st.integers(1, 5))):
        changed = data.draw(st.dictionaries(st.integers(20, 39), st.integers(0, 9), max_size=3))
        days = days | {day: a_day(user) for day, user in changed.items()}
        first, apart = data.draw(st.integers(20, 39)), data.draw(st.frozensets(st.integers(20, 39)))
        window = {day: members for day, members in days.items() if day >= first}
        expected = everyone(m.everyone() for day, m in window.items() if day not in apart)
        assert everyone(unions.of(window, apart)) == expected
    assert unions.of({}) == []


def test_blocks_whose_days_stay_are_united_once() -> None:
    unions, days = Unions(), {day: a_day(day) for day in range(32, 40)}
    (before,) = unions.of(days)
    assert unions.of(days)[0] is before
    assert unions.of({**days, 40: a_day(7)})[0] is before
    (after,) = unions.of(days | {39: a_day(99)})
    assert set(after) == set(before) - {39} | {99}


def test_no_more_blocks_are_kept_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_BLOCKS", 2)
    unions, days = Unions(), {day: a_day(day) for day in range(8, 14)}
    pairs = [{day: days[day] for day in (first, first + 1)} for first in range(8, 14, 2)]
    first = unions.of(pairs[0])[0]
    unions.of(pairs[1])
    assert unions.of(pairs[0])[0] is first
    unions.of(pairs[2])
    assert unions.of(pairs[0])[0] is first
    unions.of(pairs[1])
    unions.of(pairs[2])
    assert unions.of(pairs[0])[0] is not first


def test_days_that_nobody_needs_are_not_kept_alive() -> None:
    unions, days = Unions(), {8: a_day(1), 9: a_day(2)}
    unions.of(days)
    former = weakref.ref(days[8])
    days[8] = a_day(3)
    assert former() is None
    assert everyone(unions.of(days)) == {2, 3}
