import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.errors import InvalidValueError
from dpdau.model.counting import CountVariance
from dpdau.privacy.intervals import Interval, interval

NORMAL_QUANTILE = 1.9599639845400545

variances = st.builds(CountVariance, st.floats(0, 1e6), st.floats(0, 1e5), st.floats(0, 0.05))


def test_an_exact_count_has_the_noise_s_half_width() -> None:
    assert interval(100, 10) == Interval(90, 110)


def test_a_count_without_noise_is_all_of_its_interval() -> None:
    assert interval(100, 0) == Interval(100, 100)


def test_the_ends_are_never_negative() -> None:
    assert interval(3, 10) == Interval(0, 13)
    assert interval(-30, 10) == Interval(0, 0)


@pytest.mark.parametrize(
    "variance",
    [CountVariance(400.0), CountVariance(linear=15.0), CountVariance(quadratic=0.0004)],
    ids=["constant", "of a sample", "of a HyperLogLog"],
)
def test_the_ends_are_the_counts_that_the_estimate_just_does_not_contradict(
    variance: CountVariance,
) -> None:
    bounds = interval(1000, 30, variance)
    for end in (bounds.lower, bounds.upper):
        half_width = math.hypot(30, NORMAL_QUANTILE * math.sqrt(variance.at(end)))
        assert abs(end - 1000) == pytest.approx(half_width, rel=1e-9)


def test_of_a_sample_without_noise_it_is_wilson_s_interval() -> None:
    # 10 of 40 users at rate 1/4, in shares of 40: Wilson's interval for known variance p·q/n
    # of the count is the set of N with (40 − N)² ≤ z²·3N.
    bounds = interval(40, 0, CountVariance.of_sample(2))
    for end in (bounds.lower, bounds.upper):
        assert (40 - end) ** 2 == pytest.approx(NORMAL_QUANTILE**2 * 3 * end)


def test_a_count_of_none_in_a_sample_does_not_exclude_a_few() -> None:
    bounds = interval(0, 0, CountVariance.of_sample(4))
    assert bounds == Interval(0, pytest.approx(NORMAL_QUANTILE**2 * 15))


def test_sketch_error_follows_the_coverage() -> None:
    wide = interval(1000, 0, CountVariance(400.0), coverage=0.99)
    assert wide.upper == pytest.approx(1000 + 2.575829 * 20, rel=1e-6)


@given(st.floats(0, 1e9), st.floats(0, 1e9), variances)
def test_ends_are_in_order_and_hold_the_estimate(
    estimate: float, half_width: float, variance: CountVariance
) -> None:
    bounds = interval(estimate, half_width, variance)
    room = 1e-6 * (1 + estimate)
    assert 0 <= bounds.lower <= estimate + room
    assert bounds.upper >= estimate - room


@given(st.floats(-1e9, 1e9), st.floats(0, 1e6), variances)
def test_whatever_was_estimated_the_ends_are_in_order(
    estimate: float, half_width: float, variance: CountVariance
) -> None:
    bounds = interval(estimate, half_width, variance)
    assert 0 <= bounds.lower <= bounds.upper


@pytest.mark.parametrize("coverage", [0, 1, math.nan])
def test_a_coverage_out_of_range_is_refused(coverage: float) -> None:
    with pytest.raises(InvalidValueError, match="coverage"):
        interval(1, 1, coverage=coverage)
