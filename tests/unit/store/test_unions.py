"""Unions of days against unions of days."""

import weakref
from collections.abc import Mapping

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


@given(BOUNDS, BOUNDS)
def test_blocks_are_few_and_make_up_the_days(first: int, last: int) -> None:
    blocks = list(module._blocks(range(first, last + 1)))  # noqa: SLF001
    assert [day for block in blocks for day in block] == list(range(first, last + 1))
    assert all(block.start % len(block) == 0 for block in blocks)
    if first > 0:
        assert all(sum(len(b) == len(block) for b in blocks) <= 2 for block in blocks)


@given(st.data())
def test_what_is_united_is_what_the_days_are_now(data: st.DataObject) -> None:
    unions, days = Unions(), {day: a_day(day) for day in range(20, 40)}
    for _ in range(data.draw(st.integers(1, 5))):
        changed = data.draw(st.dictionaries(st.integers(20, 39), st.integers(0, 9), max_size=3))
        days = days | {day: a_day(user) for day, user in changed.items()}
        first, last = data.draw(st.integers(20, 39)), data.draw(st.integers(20, 40))
        window = {day: days[day] for day in range(first, min(last, 39) + 1)}
        expected = {user for members in window.values() for user in members.everyone()}
        assert set(unions.of(window)) == expected


def test_blocks_whose_days_stay_are_united_once(monkeypatch: pytest.MonkeyPatch) -> None:
    united: list[tuple[int, ...]] = []
    unite = module._united  # noqa: SLF001

    def noting(days: Mapping[int, Day]) -> BitMap:
        united.append(tuple(days))
        return unite(days)

    monkeypatch.setattr(module, "_united", noting)
    unions, days = Unions(), {day: a_day(day) for day in range(32, 44)}
    assert set(unions.of(days)) == set(range(32, 44))
    assert united == [tuple(range(32, 40)), tuple(range(40, 44))]
    assert unions.of(days) is unions.of(dict(days))
    changed = days | {43: a_day(99)}
    assert set(unions.of(changed)) == set(range(32, 43)) | {99}
    assert united[2:] == [tuple(range(40, 44))]


def test_the_unions_asked_for_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_UNIONS", 2)
    unions, days = Unions(), {day: a_day(day) for day in range(8, 14)}
    pairs = [{day: days[day] for day in (first, first + 1)} for first in range(8, 14, 2)]
    first, second = unions.of(pairs[0]), unions.of(pairs[1])
    assert unions.of(pairs[0]) is first
    unions.of(pairs[2])
    assert unions.of(pairs[0]) is first
    assert unions.of(pairs[1]) is not second


def test_days_that_nobody_needs_are_not_kept_alive() -> None:
    unions, days = Unions(), {8: a_day(1), 9: a_day(2)}
    unions.of(days)
    former = weakref.ref(days[8])
    days[8] = a_day(3)
    assert former() is None
    assert set(unions.of(days)) == {2, 3}
    assert unions.of({}) == BitMap()
