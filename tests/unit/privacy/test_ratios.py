import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.privacy.intervals import Interval
from dpdau.privacy.ratios import share_interval

NORMAL_QUANTILE = 1.9599639845400545
TAIL = math.log(20)
"""A Laplace variable of scale 1 exceeds it in size with probability 1/20."""

numbers = st.floats(-1e9, 1e9).map(lambda number: round(number, 6))
half_widths = st.floats(0, 1e8).map(lambda number: round(number, 6))


def test_without_noise_it_is_the_share_itself() -> None:
    assert share_interval(300, 0, 1000, 0) == Interval(0.3, 0.3)


def test_with_an_exact_whole_it_is_the_part_s_interval() -> None:
    bounds = share_interval(300, 30, 1000, 0)
    assert (bounds.lower, bounds.upper) == (pytest.approx(0.27), pytest.approx(0.33))


def test_the_ends_are_the_shares_that_the_estimates_just_do_not_contradict() -> None:
    bounds = share_interval(300, 30, 1000, 80)
    for share in (bounds.lower, bounds.upper):
        assert abs(300 - share * 1000) == pytest.approx(math.hypot(30, share * 80))


def test_shares_stay_between_none_and_all() -> None:
    assert share_interval(-50, 10, 1000, 10) == Interval(0, 0)
    assert share_interval(2000, 10, 1000, 10) == Interval(1, 1)
    assert share_interval(0, 100, 50, 49) == Interval(0, 1)


@pytest.mark.parametrize(("whole", "half"), [(0, 0), (10, 10), (9, 10), (-500, 10)])
def test_a_whole_that_may_be_nobody_leaves_every_share_open(whole: float, half: float) -> None:
    assert share_interval(5, 10, whole, half) == Interval(0, 1)


@given(numbers, half_widths, numbers, half_widths)
def test_ends_are_shares_in_order(
    part: float, part_half: float, whole: float, whole_half: float
) -> None:
    bounds = share_interval(part, part_half, whole, whole_half)
    assert 0 <= bounds.lower <= bounds.upper <= 1


@given(st.floats(0, 1), st.floats(1, 1e6), half_widths, half_widths)
def test_a_share_that_the_estimates_show_exactly_is_held(
    share: float, whole: float, part_half: float, whole_half: float
) -> None:
    bounds = share_interval(share * whole, part_half, whole, whole_half)
    assert bounds.lower <= share + 1e-9
    assert bounds.upper >= share - 1e-9


@given(st.floats(0, math.pi / 2))
def test_two_laplace_errors_in_any_mixture_are_covered_as_well_as_one(angle: float) -> None:
    a, b = math.cos(angle), math.sin(angle)
    if abs(a - b) < 1e-4:
        exceeds = (1 + math.sqrt(2) * TAIL / 2) * math.exp(-math.sqrt(2) * TAIL)
    else:
        tails = [c * c * math.exp(-TAIL / c) if c > 1e-300 else 0.0 for c in (a, b)]
        exceeds = (tails[0] - tails[1]) / (a * a - b * b)
    assert exceeds <= 0.05 + 1e-9


class TestCoverage:
    """Of 20,000 draws, the share covered lies within 0.0077 of its mean but for 5e-7."""

    DRAWS = 20_000
    MARGIN = 0.0077

    @staticmethod
    def covered(part: float, whole: float, scales: tuple[float, float], stretch: float) -> float:
        source = np.random.default_rng(20_251_120)  # noqa: TID251 - errors of a test
        parts = part + source.normal(0, stretch * scales[0], TestCoverage.DRAWS)
        wholes = whole + source.normal(0, stretch * scales[1], TestCoverage.DRAWS)
        halves = [NORMAL_QUANTILE * scale for scale in scales]
        intervals = [
            share_interval(part_seen, halves[0], whole_seen, halves[1])
            for part_seen, whole_seen in zip(parts, wholes, strict=True)
        ]
        share = part / whole
        return sum(each.lower <= share <= each.upper for each in intervals) / len(intervals)

    @pytest.mark.parametrize(
        ("part", "whole", "scales"),
        [(300, 1000, (6, 4)), (30, 90, (6, 9)), (5, 40, (6, 12)), (0, 30, (6, 4))],
    )
    def test_the_nominal_95_percent_holds(
        self, part: float, whole: float, scales: tuple[float, float]
    ) -> None:
        assert self.covered(part, whole, scales, 1) >= 0.95 - self.MARGIN

    @pytest.mark.parametrize(("part", "whole", "scales"), [(300, 1000, (6, 4)), (30, 90, (6, 9))])
    def test_errors_ten_percent_larger_than_said_are_noticed(
        self, part: float, whole: float, scales: tuple[float, float]
    ) -> None:
        assert self.covered(part, whole, scales, 1.1) < 0.95 - self.MARGIN
