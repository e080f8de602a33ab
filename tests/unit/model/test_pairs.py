"""Pairs against dictionaries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from dpdau.model.pairs import Change, changes_of, overlaid, pairs_of, pairs_of_day
from support.pairs import DAYS, STATES, USERS, State, as_pairs, as_state, merged


@given(STATES)
def test_columns_become_pairs_and_pairs_changes(state: State) -> None:
    days, users = zip(*state, strict=True) if state else ((), ())
    columns = np.array(days, dtype=np.int32), np.array(users, dtype=np.int64)
    pairs = pairs_of(*columns, np.array([*state.values()], dtype=np.bool_))
    assert pairs.tolist() == as_pairs(state).tolist()
    changes = changes_of(pairs)
    assert as_state(changes) == state
    assert [*changes] == sorted({day for day, _ in state})


@given(st.lists(STATES, max_size=6))
def test_the_last_of_several_counts(states: list[State]) -> None:
    assert (
        overlaid([as_pairs(state) for state in states]).tolist()
        == as_pairs(merged(states)).tolist()
    )


@pytest.mark.parametrize("count", [255, 256, 1_000])
def test_there_may_be_any_number_of_them(count: int) -> None:
    key = (2**22 - 1, 2**32 - 2)
    states: list[State] = [{key: number % 2 == 0} for number in range(count)]
    assert overlaid([as_pairs(state) for state in states]).tolist() == as_pairs(states[-1]).tolist()


@given(DAYS, st.frozensets(USERS), st.frozensets(USERS))
def test_a_change_of_a_day_becomes_pairs(
    day: int, joins: frozenset[int], others: frozenset[int]
) -> None:
    leaves = others - joins
    state = {(day, user): True for user in joins} | {(day, user): False for user in leaves}
    pairs = pairs_of_day(day, Change(BitMap(joins), BitMap(leaves)))
    assert pairs.tolist() == as_pairs(state).tolist()
