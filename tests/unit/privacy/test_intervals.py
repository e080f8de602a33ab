import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.errors import InvalidValueError
from dpdau.privacy.intervals import Interval, interval


def test_an_exact_count_has_the_noise_s_half_width() -> None:
    assert interval(100, 10) == Interval(90, 110)


def test_the_ends_are_never_negative() -> None:
    assert interval(3, 10) == Interval(0, 13)
    assert interval(-30, 10) == Interval(0, 0)


def test_sketch_error_adds_in_squares() -> None:
    bounds = interval(1000, 30, relative_standard_error=0.02)
    assert bounds.upper - 1000 == pytest.approx(math.hypot(30, 1.959964 * 20), rel=1e-6)
    assert 1000 - bounds.lower == pytest.approx(bounds.upper - 1000)


def test_sketch_error_of_a_negative_estimate_is_none() -> None:
    assert interval(-5, 10, relative_standard_error=0.5) == Interval(0, 5)


def test_sketch_error_follows_the_coverage() -> None:
    wide = interval(1000, 0, relative_standard_error=0.02, coverage=0.99)
    assert wide.upper == pytest.approx(1000 + 2.575829 * 20, rel=1e-6)


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9), st.floats(0, 1))
def test_ends_are_in_order_and_widen_with_sketch_error(
    estimate: float, half_width: float, error: float
) -> None:
    plain, widened = interval(estimate, half_width), interval(estimate, half_width, error)
    assert 0 <= widened.lower <= plain.lower <= plain.upper <= widened.upper


@pytest.mark.parametrize("coverage", [0, 1, math.nan])
def test_a_coverage_out_of_range_is_refused(coverage: float) -> None:
    with pytest.raises(InvalidValueError, match="coverage"):
        interval(1, 1, coverage=coverage)


def test_a_negative_sketch_error_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="relative_standard_error"):
        interval(1, 1, -0.1)
