from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from dpdau.errors import InvalidValueError
from dpdau.privacy import continual
from dpdau.privacy.continual import (
    band_half_widths,
    covariance,
    estimate_row,
    estimates,
    half_widths,
    measure_row,
    standard_errors,
)
from dpdau.privacy.strategy import Plan, Presence, make_plan

PLAN = make_plan(7, Presence("runs", 2), 2.0, 1e-6)
YEAR = make_plan(365, Presence("unbounded"), 2.0, 1e-6)

week_totals = st.lists(st.integers(0, 10**9), min_size=1, max_size=7)


def queries(plan: Plan, totals: list[int]) -> list[int]:
    return [
        sum(entry * total for entry, total in zip(row, totals[: day + 1], strict=False))
        for day, row in enumerate(plan.strategy[: len(totals)])
    ]


@given(week_totals)
def test_a_row_is_the_exact_product_before_noise(totals: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(continual, "_measurement", lambda _sigma: lambda query: query)
        assert measure_row(PLAN, totals) == queries(PLAN, totals)[-1]


def test_noise_of_the_plans_size_is_added() -> None:
    errors = [measure_row(PLAN, [5, 6]) - queries(PLAN, [5, 6])[1] for _ in range(50)]
    # All fifty within σ/1000 of zero, or one beyond 9 σ: less likely than 1e-16.
    assert PLAN.sigma / 1000 < max(abs(error) for error in errors) < 9 * PLAN.sigma


@given(week_totals)
def test_without_noise_the_estimates_are_the_totals(totals: list[int]) -> None:
    assert estimates(PLAN, queries(PLAN, totals)) == totals


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=7))
def test_estimates_solve_the_rows_to_the_last_place(measurements: list[int]) -> None:
    solved: list[Fraction] = []
    for row, measurement in zip(PLAN.strategy, measurements, strict=False):
        known = sum((e * x for e, x in zip(row, solved, strict=False)), Fraction(0))
        solved.append((measurement - known) / row[len(solved)])
    for estimate, exact in zip(estimates(PLAN, measurements), solved, strict=True):
        assert abs(Fraction(estimate) - exact) <= Fraction(2) ** -60 + abs(exact) / 2**53


def test_a_later_measurement_changes_no_estimate() -> None:
    measurements = [3 * 2**16, -(2**16), 12345, 2**20]
    assert estimates(PLAN, measurements)[:3] == estimates(PLAN, measurements[:3])


def test_a_year_is_estimated_without_loss() -> None:
    totals = [10_000_000 + 13 * day for day in range(365)]
    assert estimates(YEAR, queries(YEAR, totals)) == totals


def test_the_stated_errors_average_to_the_plans_figure() -> None:
    for plan in (PLAN, YEAR):
        mean_variance = float((standard_errors(plan) ** 2).mean())
        stated = plan.primal * plan.sigma / plan.sensitivity_squared**0.5
        assert mean_variance**0.5 == pytest.approx(stated)


def test_standard_errors_are_the_covariances_diagonal() -> None:
    assert np.allclose(standard_errors(PLAN) ** 2, np.diagonal(covariance(PLAN)))
    matrix = np.array(PLAN.strategy, dtype=float)
    assert np.allclose(matrix @ covariance(PLAN) @ matrix.T / PLAN.sigma**2, np.eye(7))


@pytest.mark.parametrize("coverage", [0.5, 0.95, 0.999])
def test_half_widths_are_normal_quantiles_widened_by_rounding(coverage: float) -> None:
    ratio = half_widths(PLAN, coverage) / standard_errors(PLAN)
    quantile = float(ndtri((1 + coverage) / 2))
    assert (ratio > quantile).all()
    assert ratio == pytest.approx(quantile, rel=1e-4)


def test_rounding_widens_by_half_of_the_inverse_s_absolute_row() -> None:
    inverted = np.linalg.inv(np.array(PLAN.strategy, dtype=float))
    widened = half_widths(PLAN) - float(ndtri(0.975)) * standard_errors(PLAN)
    assert widened == pytest.approx(np.abs(inverted).sum(axis=1) / 2, rel=1e-3)


def test_the_band_is_wider_than_an_interval_and_narrower_than_a_union_bounds() -> None:
    union = float(-ndtri(0.05 / 7 / 2)) * standard_errors(PLAN)
    assert (half_widths(PLAN) < band_half_widths(PLAN)).all()
    assert (band_half_widths(PLAN) < union).all()


def test_a_row_is_estimated_with_its_own_days_errors() -> None:
    measurements = [2**16, 2**17, 2**18]
    estimate = estimate_row(PLAN, measurements)
    assert estimate.value == estimates(PLAN, measurements)[2]
    assert estimate.std_error == standard_errors(PLAN)[2]
    assert estimate.half_width == half_widths(PLAN)[2]
    assert estimate.band_half_width == band_half_widths(PLAN)[2]


@pytest.mark.parametrize("given_days", [0, 8])
def test_a_row_belongs_to_a_day_of_the_period(given_days: int) -> None:
    with pytest.raises(InvalidValueError, match="totals"):
        measure_row(PLAN, [1] * given_days)
    with pytest.raises(InvalidValueError, match="measurements"):
        estimates(PLAN, [1] * given_days)


def test_totals_beyond_64_bits_are_refused_and_not_shown() -> None:
    with pytest.raises(InvalidValueError, match="too large") as caught:
        measure_row(PLAN, [1234567 * 10**12])
    assert "1234567" not in caught.value.message


@pytest.mark.parametrize("coverage", [0.0, 1.0])
def test_a_coverage_is_between_zero_and_one(coverage: float) -> None:
    with pytest.raises(InvalidValueError, match=f"coverage is {coverage}; "):
        half_widths(PLAN, coverage)
