"""The errors of continual series are those that are stated.

Every check has a false-alarm probability below 1e-7, stated beside it, and the check of the size
is shown to fail for a σ that is 10 % off in either direction.
"""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, chi2, norm

from dpdau.privacy.continual import (
    band_half_widths,
    covariance,
    estimates,
    half_widths,
    measure_row,
    standard_errors,
)
from dpdau.privacy.strategy import Plan, Presence, make_plan

SERIES = 1500
FALSE_ALARM = 1e-8
TOTALS = [1000, 1010, 990, 0, 3]
PLANS = [
    make_plan(len(TOTALS), Presence("runs", 1), 1.0, 1e-6),
    make_plan(len(TOTALS), Presence("unbounded"), 1.0, 1e-6),
]

Array = NDArray[np.float64]


@pytest.fixture(scope="module", params=PLANS, ids=["one run", "unbounded"])
def released(request: pytest.FixtureRequest) -> tuple[Plan, Array]:
    """A plan and the errors of many series released with it."""
    plan: Plan = request.param
    errors = []
    for _ in range(SERIES):
        measurements = [measure_row(plan, TOTALS[: day + 1]) for day in range(plan.days)]
        errors.append(np.subtract(estimates(plan, measurements), TOTALS))
    return plan, np.array(errors)


def has_covariance(errors: Array, stated: Array) -> bool:
    """Whether Σ eᵀK⁻¹e is a plausible χ² variable; rejects the truth with probability 1e-8."""
    statistic = float(np.einsum("ni,ij,nj->", errors, np.linalg.inv(stated), errors))
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], errors.size)
    return bool(low < statistic < high)


def test_errors_have_the_stated_covariance(released: tuple[Plan, Array]) -> None:
    plan, errors = released
    assert has_covariance(errors, covariance(plan))


@pytest.mark.parametrize("off", [0.9, 1.1])
def test_a_sigma_ten_percent_off_is_noticed(released: tuple[Plan, Array], off: float) -> None:
    plan, errors = released
    wrong = dataclasses.replace(plan, sigma=plan.sigma * off)
    assert not has_covariance(errors, covariance(wrong))


def test_each_day_has_its_stated_standard_error(released: tuple[Plan, Array]) -> None:
    plan, errors = released
    # Five days: false alarm 5e-8.
    ratios = (errors**2).sum(axis=0) / standard_errors(plan) ** 2
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], SERIES)
    assert ((low < ratios) & (ratios < high)).all()


def test_estimates_are_unbiased(released: tuple[Plan, Array]) -> None:
    plan, errors = released
    # Five days: false alarm 5e-8.
    scores = errors.mean(axis=0) / (standard_errors(plan) / SERIES**0.5)
    assert (np.abs(scores) < -norm.ppf(FALSE_ALARM / 2)).all()


def test_intervals_hold_19_totals_of_20(released: tuple[Plan, Array]) -> None:
    plan, errors = released
    # Five days: false alarm 5e-8.
    held = (np.abs(errors) <= half_widths(plan)).sum(axis=0)
    low, high = binom.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], SERIES, 0.95)
    assert ((low <= held) & (held <= high)).all()


def test_bands_hold_whole_series_at_least_19_times_of_20(released: tuple[Plan, Array]) -> None:
    plan, errors = released
    whole = (np.abs(errors) <= band_half_widths(plan)).all(axis=1).sum()
    assert whole >= binom.ppf(FALSE_ALARM, SERIES, 0.95)
