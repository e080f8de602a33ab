"""Deltas against dictionaries."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from dpdau.pipeline.ports import OUTDATED
from dpdau.store.sqlite import deltas as module
from dpdau.store.sqlite.deltas import Delta, Deltas
from support.pairs import DAYS, STATES, State, as_pairs, as_state, merged


def in_a_row(states: Sequence[State]) -> Deltas:
    deltas = Deltas()
    for state in states:
        deltas = deltas.followed_by(Delta(as_pairs(state)))
    return deltas


@given(st.lists(STATES, max_size=6), DAYS, DAYS)
def test_changes_are_those_of_all_days_of_some_and_of_some_users(
    states: list[State], first: int, last: int
) -> None:
    deltas, whole = in_a_row(states), merged(states)
    assert as_state(deltas.changes()) == whole
    between = {key: active for key, active in whole.items() if first <= key[0] <= last}
    assert as_state(deltas.changes_between(first, last)) == between
    assert as_state(deltas.changes_between(-30, last)) == {
        key: active for key, active in whole.items() if key[0] <= last
    }
    users = BitMap([0, 65_536, 2**32 - 2])
    theirs, others = deltas.parted(users)
    of_users = {key: active for key, active in whole.items() if key[1] in users}
    assert as_state(theirs.changes()) == of_users
    assert as_state(others.changes()) == {k: v for k, v in whole.items() if k not in of_users}
    since = {key: active for key, active in whole.items() if key[0] >= first or key[0] == OUTDATED}
    assert as_state(deltas.since(first).changes()) == since
    assert deltas.days() == {day for day, _ in whole}
    assert deltas.since(first).days() == {day for day, _ in since}


def a_delta(shards: int, pairs_a_shard: int) -> Delta:
    state = {
        (739_000, shard << 16 | user): True
        for shard in range(shards)
        for user in range(pairs_a_shard)
    }
    return Delta(as_pairs(state))


def test_deltas_are_due_once_they_are_as_large_as_what_they_are_merged_with() -> None:
    assert not Deltas().are_due
    assert not Deltas().followed_by(a_delta(3, 1_024)).are_due
    assert Deltas().followed_by(a_delta(3, 1_025)).are_due
    twice = Deltas().followed_by(a_delta(3, 600)).followed_by(a_delta(3, 600))
    assert twice.are_due
    assert not twice.followed_by(a_delta(4, 1)).are_due


def test_deltas_are_due_once_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    deltas = Deltas()
    for _ in range(64):
        deltas = deltas.followed_by(a_delta(1, 1))
    assert not deltas.are_due
    assert deltas.followed_by(a_delta(1, 1)).are_due
    monkeypatch.setattr(module, "_MOST_PAIRS", 10)
    assert not Deltas().followed_by(a_delta(10, 1)).are_due
    assert Deltas().followed_by(a_delta(11, 1)).are_due
