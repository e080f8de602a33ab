"""What every representation of distinct users must do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from dpdau.errors import IncompatibleSketchError
from dpdau.sketches import DistinctSketch, SetSketch

users = st.frozensets(st.integers(0, 2**32 - 1), max_size=50).map(BitMap)


every_kind = pytest.mark.parametrize("kind", [SetSketch])


def sketch(kind: type[SetSketch], members: BitMap) -> DistinctSketch:
    made = kind()
    made.add(members)
    return made


@every_kind
@given(here=users, there=users)
def test_adding_twice_counts_once(kind: type[SetSketch], here: BitMap, there: BitMap) -> None:
    made = sketch(kind, here)
    made.add(there)
    made.add(here)
    assert made.estimate() == sketch(kind, here | there).estimate()


@every_kind
@given(here=users, there=users)
def test_a_union_counts_everyone_once_and_changes_neither(
    kind: type[SetSketch], here: BitMap, there: BitMap
) -> None:
    one, other = sketch(kind, here), sketch(kind, there)
    before = one.estimate(), other.estimate()
    assert one.union(other).estimate() == sketch(kind, here | there).estimate()
    assert (one.estimate(), other.estimate()) == before


@every_kind
@given(here=users, there=users)
def test_a_removal_is_as_if_never_added(kind: type[SetSketch], here: BitMap, there: BitMap) -> None:
    if not kind.supports_removal:
        pytest.skip("offers no removal")
    made = sketch(kind, here)
    made.remove(there)
    assert made.estimate() == sketch(kind, here - there).estimate()


@every_kind
@given(members=users, one=st.integers(0, 2**32 - 1))
def test_one_user_moves_the_estimate_by_no_more_than_the_sensitivity(
    kind: type[SetSketch], members: BitMap, one: int
) -> None:
    without = sketch(kind, members - BitMap([one]))
    with_one = sketch(kind, members | BitMap([one]))
    assert abs(with_one.estimate() - without.estimate()) <= with_one.sensitivity


@every_kind
@given(members=users)
def test_bytes_bring_the_sketch_back(kind: type[SetSketch], members: BitMap) -> None:
    made = sketch(kind, members)
    assert kind.from_bytes(made.to_bytes()).estimate() == made.estimate()


@every_kind
@pytest.mark.parametrize("data", [b"", b"no sketch", b"\xff" * 64])
def test_bytes_of_something_else_are_refused(kind: type[SetSketch], data: bytes) -> None:
    with pytest.raises(IncompatibleSketchError):
        kind.from_bytes(data)


def test_the_exact_set_counts_without_error() -> None:
    exact = sketch(SetSketch, BitMap([1, 2, 3]))
    assert (exact.estimate(), exact.sensitivity, exact.relative_standard_error) == (3, 1, 0.0)


def test_a_sketch_does_not_share_the_bitmap_that_it_was_made_from() -> None:
    members = BitMap([1, 2])
    made = SetSketch(members)
    made.add(BitMap([3]))
    assert len(members) == 2
