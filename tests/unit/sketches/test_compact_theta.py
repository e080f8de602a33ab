"""Compact theta bytes, against Apache DataSketches itself."""

import hashlib

import datasketches
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dpdau.errors import IncompatibleSketchError
from dpdau.sketches import CompactTheta, read_compact_theta, union_of, write_compact_theta

words = st.frozensets(st.integers(0, 2**64 - 1), max_size=40)
exponents = st.integers(0, 16)
MANY = np.frombuffer(hashlib.shake_128(b"pseudonyms").digest(160_000), dtype=np.uint64)


def pseudonyms(values: frozenset[int]) -> NDArray[np.uint64]:
    return np.array(sorted(values), dtype=np.uint64)


def opened(data: bytes) -> datasketches.compact_theta_sketch:
    return datasketches.compact_theta_sketch.deserialize(data)


@given(words, exponents)
def test_datasketches_opens_it_and_estimates_the_sample_times_its_inverse_rate(
    values: frozenset[int], exponent: int
) -> None:
    sketch = opened(write_compact_theta(pseudonyms(values), exponent))
    # The hash 0, and in an exact sketch the largest, stand for other things.
    hashes = {value >> (exponent + 1) for value in values} - {0, 2**63 - 1}
    assert set(sketch) == hashes
    assert sketch.get_estimate() == len(hashes) * 2**exponent
    assert sketch.is_ordered()
    assert sketch.is_estimation_mode() == (exponent > 0)
    assert sketch.is_empty() == (exponent == 0 and not hashes)


@given(words, exponents)
def test_datasketches_writes_the_same_bytes(values: frozenset[int], exponent: int) -> None:
    data = write_compact_theta(pseudonyms(values), exponent)
    again = opened(data).serialize()
    if len(again) == len(data):
        assert again == data
    else:  # A single hash, or none, without a threshold has a shorter form.
        assert exponent == 0
        assert len(opened(data).serialize()) < len(data)
        assert list(opened(again)) == list(opened(data))


@given(words, words, exponents)
def test_datasketches_joins_and_intersects_exports(
    here: frozenset[int], there: frozenset[int], exponent: int
) -> None:
    one, other = (opened(write_compact_theta(pseudonyms(each), exponent)) for each in (here, there))
    union = datasketches.theta_union(26)
    union.update(one)
    union.update(other)
    assert set(union.get_result()) == set(one) | set(other)
    if not (one.is_empty() or other.is_empty()):
        both = datasketches.theta_intersection()
        both.update(one)
        both.update(other)
        assert set(both.get_result()) == set(one) & set(other)


def test_a_union_counts_everyone_once() -> None:
    parts = [write_compact_theta(part, 3) for part in (MANY[:15_000], MANY[5_000:])]
    assert union_of(parts) == CompactTheta(20_000, 0.125, 160_000.0)


def test_a_union_of_different_rates_is_a_sample_at_the_lower_one() -> None:
    # The hashes of a store have one length each; these stand for two stores.
    parts = [write_compact_theta(MANY, 1), write_compact_theta(MANY, 4)]
    assert union_of(parts).rate == 1 / 16


def test_hashes_are_uniform_below_the_threshold() -> None:
    sketch = opened(write_compact_theta(MANY, 5))
    shares = np.array(list(sketch)) / sketch.theta64
    assert 0 < shares.min() < shares.max() < 1
    # Five standard errors of the mean of uniform numbers.
    assert abs(shares.mean() - 0.5) < 5 * (1 / 12 / 20_000) ** 0.5


def of_another_seed() -> bytes:
    made = datasketches.update_theta_sketch(seed=7)
    made.update(1)
    return bytes(made.compact().serialize())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x03" * 8,
        b"x" * 100,
        write_compact_theta(MANY, 2)[:-1],
        of_another_seed(),
        write_compact_theta(MANY, 2)[:16] + bytes(8) + write_compact_theta(MANY, 2)[24:],
        write_compact_theta(MANY, 2)[:16] + b"\xff" * 8 + write_compact_theta(MANY, 2)[24:],
    ],
    ids=["nothing", "a few bytes", "text", "cut off", "another seed", "no θ", "θ beyond one"],
)
def test_bytes_that_are_none_are_refused(data: bytes) -> None:
    with pytest.raises(IncompatibleSketchError, match="no compact theta sketch"):
        read_compact_theta(data)


def test_what_datasketches_itself_made_is_read() -> None:
    made = datasketches.update_theta_sketch(lg_k=12, p=0.25)
    for value in range(5_000):
        made.update(value)
    compact = made.compact()
    assert read_compact_theta(compact.serialize()) == CompactTheta(
        compact.num_retained, compact.theta, compact.get_estimate()
    )
