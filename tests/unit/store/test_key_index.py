"""The immutable index against a dictionary."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dpdau.store import key_index
from dpdau.store.key_index import KeyIndex

MANY = 600_000

keys_of_all_sizes = st.integers(1, 40) | st.integers(2**63 - 20, 2**63 + 20) | st.just(2**64 - 1)
batches = st.lists(
    st.dictionaries(keys_of_all_sizes, st.none() | st.integers(0, 2**32 - 2)), max_size=12
)


def keys(*values: int) -> NDArray[np.uint64]:
    return np.array(values, dtype=np.uint64)


def slots(*values: int) -> NDArray[np.uint32]:
    return np.array(values, dtype=np.uint32)


def by_slot(placed: dict[int, int]) -> NDArray[np.uint64]:
    """Keys at the positions of their slots, and 0 elsewhere."""
    held = np.zeros(1_000, dtype=np.uint64)
    for key, slot in placed.items():
        held[slot] = key
    return held


def put(index: KeyIndex, batch: dict[int, int | None]) -> KeyIndex:
    present = {key: slot for key, slot in batch.items() if slot is not None}
    index = index.put(keys(*present), slots(*present.values()))
    return index.put(keys(*(batch.keys() - present.keys())))


def check(index: KeyIndex, expected: dict[int, int], asked: set[int]) -> None:
    wanted = list(expected) + sorted(asked, reverse=True)
    assert index.find(keys(*wanted)).tolist() == [expected.get(key, -1) for key in wanted]
    assert sorted(index.slots().tolist()) == sorted(expected.values())
    low, high = 3, 2**31
    inside = {key for key, slot in expected.items() if low <= slot <= high}
    assert set(index.keys_at(low, high).tolist()) == inside


@pytest.mark.parametrize(
    ("leaf", "recent", "newest"), [(8, 2, 0), (8, 1000, 3), (1000, 4, 3), (8, 5, 1000)]
)
@given(batches=batches)
def test_any_sequence_of_changes_gives_what_a_dictionary_holds(
    leaf: int, recent: int, newest: int, batches: list[dict[int, int | None]]
) -> None:
    """With small leaves, so that they split, merge and empty all the time."""
    with mock.patch.multiple(
        key_index, _MAX_LEAF_KEYS=leaf, _MIN_RECENT_KEYS=recent, _MAX_NEWEST_KEYS=newest
    ):
        index, expected, asked = KeyIndex(), dict[int, int](), set[int]()
        former: list[tuple[KeyIndex, dict[int, int]]] = []
        for batch in batches:
            former.append((index, expected))
            index = put(index, batch)
            expected = {k: s for k, s in {**expected, **batch}.items() if s is not None}
            asked |= batch.keys()
            check(index, expected, asked)
        for earlier, held in former:
            check(earlier, held, asked)
        placed = {key: slot % 997 for slot, key in enumerate(sorted(expected, reverse=True))}
        check(KeyIndex.of(by_slot(placed)), placed, asked)


@pytest.mark.parametrize("leaf", [1 << 16, 1 << 21])
def test_many_keys_are_divided_into_leaves_and_found(
    leaf: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_index, "_MAX_LEAF_KEYS", leaf)
    spread = np.arange(1, MANY + 1, dtype=np.uint64) * np.uint64(2**40)
    numbers = np.arange(MANY, dtype=np.uint32)
    whole = KeyIndex.of(spread)
    grown = KeyIndex()
    for start in range(0, MANY, 100_000):
        part = slice(start, start + 100_000)
        grown = grown.put(spread[part], numbers[part])
    for index in (whole, grown):
        assert np.array_equal(index.find(spread), numbers)
        assert (index.find(spread + np.uint64(1)) == -1).all()
    without = grown.put(spread[::3])
    assert (without.find(spread[::3]) == -1).all()
    assert np.array_equal(without.find(spread[1::3]), numbers[1::3])


@given(
    held=st.sets(st.integers(0, 2**64 - 1) | keys_of_all_sizes, min_size=1, max_size=300),
    asked=st.lists(st.integers(0, 2**64 - 1) | keys_of_all_sizes),
    range_keys=st.integers(1, 16),
    part_keys=st.integers(1, 50),
)
def test_a_directory_leads_to_each_key_however_unevenly_they_are_spread(
    held: set[int], asked: list[int], range_keys: int, part_keys: int
) -> None:
    with mock.patch.multiple(key_index, _RANGE_KEYS=range_keys, _PART_KEYS=part_keys):
        wanted = [*asked, *held]
        found = KeyIndex().put(keys(*held), slots(*range(len(held)))).find(keys(*wanted))
    expected = {key: slot for slot, key in enumerate(held)}
    assert found.tolist() == [expected.get(key, -1) for key in wanted]


def test_an_empty_index_finds_nothing() -> None:
    assert KeyIndex().find(keys(1, 2)).tolist() == [-1, -1]
    assert KeyIndex().find(keys()).tolist() == []
    assert KeyIndex.of(keys()).slots().tolist() == []
    assert KeyIndex.of(keys(0, 0)).slots().tolist() == []
