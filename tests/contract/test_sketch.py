"""What every representation of distinct users must do."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from dpdau.errors import IncompatibleSketchError
from dpdau.sketches import DistinctSketch, HllppSketch, SetSketch, ThetaSketch

KEY = bytes(range(32))
HALF = 2**63

users = st.frozensets(st.integers(0, 2**32 - 1), max_size=50).map(BitMap)
MADE: dict[str, Callable[[], DistinctSketch]] = {
    "set": SetSketch,
    "theta": lambda: ThetaSketch(4),
    "hllpp": lambda: HllppSketch(6, HALF, 100, key=KEY),
}
REMOVABLE = [name for name, make in MADE.items() if make().supports_removal]
BOUNDED = [name for name, make in MADE.items() if make().sensitivity is not None]

every_kind = pytest.mark.parametrize("kind", MADE)


def sketch(kind: str, members: BitMap) -> DistinctSketch:
    made = MADE[kind]()
    made.add(members)
    return made


@every_kind
@given(here=users, there=users)
def test_adding_twice_counts_once(kind: str, here: BitMap, there: BitMap) -> None:
    made = sketch(kind, here)
    made.add(there)
    made.add(here)
    assert made.estimate() == sketch(kind, here | there).estimate()


@every_kind
@given(here=users, there=users)
def test_the_order_of_arrival_does_not_matter(kind: str, here: BitMap, there: BitMap) -> None:
    one, other = sketch(kind, here), sketch(kind, there)
    one.add(there)
    other.add(here)
    assert one.to_bytes() == other.to_bytes()


@every_kind
@given(here=users, there=users)
def test_a_union_counts_everyone_once_and_changes_neither(
    kind: str, here: BitMap, there: BitMap
) -> None:
    one, other = sketch(kind, here), sketch(kind, there)
    before = one.estimate(), other.estimate()
    assert one.union(other).estimate() == sketch(kind, here | there).estimate()
    assert (one.estimate(), other.estimate()) == before


@pytest.mark.parametrize("kind", REMOVABLE)
@given(here=users, there=users)
def test_a_removal_is_as_if_never_added(kind: str, here: BitMap, there: BitMap) -> None:
    made = sketch(kind, here)
    made.remove(there)
    assert made.estimate() == sketch(kind, here - there).estimate()


@pytest.mark.parametrize("kind", sorted(MADE.keys() - set(REMOVABLE)))
def test_a_sketch_without_removal_refuses_it_and_says_what_to_do(kind: str) -> None:
    with pytest.raises(IncompatibleSketchError, match="make a new one"):
        sketch(kind, BitMap([1])).remove(BitMap([1]))


@pytest.mark.parametrize("kind", BOUNDED)
@given(members=users, one=st.integers(0, 2**32 - 1))
def test_one_user_moves_the_estimate_by_no_more_than_the_sensitivity(
    kind: str, members: BitMap, one: int
) -> None:
    without = sketch(kind, members - BitMap([one]))
    with_one = sketch(kind, members | BitMap([one]))
    assert with_one.estimate() - without.estimate() in (0, with_one.sensitivity)


@every_kind
@given(members=users, later=users)
def test_bytes_bring_the_sketch_back_and_it_goes_on_counting(
    kind: str, members: BitMap, later: BitMap
) -> None:
    made = sketch(kind, members)
    again = type(made).from_bytes(made.to_bytes())
    assert again.estimate() == made.estimate()
    again.add(later)
    assert again.estimate() == sketch(kind, members | later).estimate()


@every_kind
@pytest.mark.parametrize("data", [b"", b"no sketch", b"\xff" * 64, b"\xff" * 200])
def test_bytes_of_something_else_are_refused(kind: str, data: bytes) -> None:
    with pytest.raises(IncompatibleSketchError):
        type(MADE[kind]()).from_bytes(data)


@pytest.mark.parametrize(
    ("log2_registers", "registers"),
    [(0, bytes(1)), (3, bytes(8)), (4, bytes([62, *range(15)])), (4, bytes([255] * 16))],
    ids=["no bits", "too few", "a rank too many", "bytes"],
)
def test_registers_that_no_hash_gives_are_refused(log2_registers: int, registers: bytes) -> None:
    sound = HllppSketch(4, HALF, 0, key=KEY).to_bytes()
    data = sound[:8] + bytes([log2_registers]) + sound[9:-16] + registers
    assert HllppSketch.from_bytes(sound).estimate() == 0
    with pytest.raises(IncompatibleSketchError, match="no sketch of this kind"):
        HllppSketch.from_bytes(data)


def test_the_exact_set_counts_without_error() -> None:
    exact = sketch("set", BitMap([1, 2, 3]))
    assert (exact.estimate(), exact.sensitivity, exact.variance.at(3)) == (3, 1, 0.0)


def test_a_set_does_not_share_the_bitmap_that_it_was_made_from() -> None:
    members = BitMap([1, 2])
    made = SetSketch(members)
    made.add(BitMap([3]))
    assert len(members) == 2


def test_a_sample_counts_every_user_for_the_inverse_of_its_rate() -> None:
    sample = sketch("theta", BitMap([1, 2, 3]))
    assert (sample.estimate(), sample.sensitivity, sample.variance.at(48)) == (48, 16, 720.0)


def test_samples_of_different_rates_have_no_union() -> None:
    with pytest.raises(IncompatibleSketchError, match="1/16 and 1/32"):
        ThetaSketch(4).union(ThetaSketch(5))


@pytest.mark.parametrize(
    "other",
    [
        HllppSketch(6, HALF, 100),
        HllppSketch(7, HALF, 100, key=KEY),
        HllppSketch(6, HALF + 1, 100, key=KEY),
        HllppSketch(6, HALF, 101, key=KEY),
    ],
)
def test_sketches_of_different_keys_or_sizes_have_no_union(other: HllppSketch) -> None:
    with pytest.raises(IncompatibleSketchError, match="different keys or sizes"):
        HllppSketch(6, HALF, 100, key=KEY).union(other)


def test_more_users_and_phantoms_than_are_hashed_at_once_are_all_counted() -> None:
    # Half of three million, within ten standard errors of 1.04/√(2^12) and a bit.
    sketch = HllppSketch(12, HALF, 2**20 + 2**19, key=KEY)
    sketch.add(BitMap(range(2**20 + 2**19)))
    assert abs(sketch.estimate() - (2**20 + 2**19)) < 10 * sketch.variance.at(2**20) ** 0.5
