import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import chi2

import rivals
from dpdau.privacy.gaussian_curve import gaussian_epsilon

DAYS = 7
LINEAR = [rivals.binary_tree, rivals.pruned_binary_tree, rivals.square_root]
FALSE_ALARM = 1e-8


@pytest.mark.parametrize("make", LINEAR)
@pytest.mark.parametrize("days", [1, 5, 7, 8])
@pytest.mark.parametrize("runs", [1, 2, 3])
def test_the_sensitivity_is_the_largest_over_all_presences(
    make: Callable[[int, int], rivals.LinearRival], days: int, runs: int
) -> None:
    rival = make(days, runs)
    presences = [
        np.array(bits)
        for bits in itertools.product([0, 1], repeat=days)
        if np.count_nonzero(np.diff([0, *bits]) == 1) <= runs
    ]
    largest = max(float(np.linalg.norm(rival.measured @ each)) for each in presences)
    assert rival.sensitivity == pytest.approx(largest, rel=1e-12)


@pytest.mark.parametrize("make", LINEAR)
def test_answers_without_noise_are_the_totals(
    make: Callable[[int, int], rivals.LinearRival],
) -> None:
    rival = make(DAYS, 2)
    assert rival.answered @ rival.measured == pytest.approx(np.eye(DAYS), abs=1e-12)


def test_independent_noise_costs_as_many_days_as_a_user_may_be_present() -> None:
    assert rivals.independent(DAYS).sensitivity == math.sqrt(DAYS)
    assert rivals.independent(DAYS, 4).sensitivity == 2
    assert rivals.independent(DAYS, 40).sensitivity == math.sqrt(DAYS)


def test_zcdp_composition_spends_its_budget_and_the_exact_curve_would_need_less() -> None:
    mu = rivals.zcdp_mu(3.0, 1e-6)
    rho = mu**2 / 2
    assert rho + 2 * math.sqrt(rho * math.log(1e6)) == pytest.approx(3.0)
    assert gaussian_epsilon(mu, 1e-6) < 3.0


def is_consistent(errors: np.ndarray, std_error: float) -> bool:
    """Whether normal errors have that standard error."""
    low, high = chi2.ppf([FALSE_ALARM / 2, 1 - FALSE_ALARM / 2], errors.size)
    return bool(low <= (errors**2).sum() / std_error**2 <= high)


@pytest.mark.parametrize("make", LINEAR)
def test_released_errors_are_as_computed_and_not_a_tenth_off(
    make: Callable[[int, int], rivals.LinearRival],
) -> None:
    rival, mu = make(3, 2), 0.5
    totals = np.tile([[100], [90], [120]], 10_000)
    # One day, the last, of independent periods: its errors are independent of each other.
    errors = (rival.release(totals, mu) - totals)[-1]
    std_error = rival.sensitivity / mu * float(np.linalg.norm(rival.answered[-1]))
    assert is_consistent(errors, std_error)
    assert not is_consistent(errors, 1.1 * std_error)
    assert not is_consistent(errors, std_error / 1.1)


def test_laplace_errors_are_as_computed_and_not_a_tenth_off() -> None:
    epsilon = 2.0
    errors = rivals.laplace_release(np.zeros(60_000, dtype=np.int64), DAYS, epsilon)
    squares = errors**2
    # Six standard deviations of the mean square; the kurtosis of Laplace noise is about 6.
    slack = 6 * math.sqrt(5.1 / errors.size)

    def agrees(std_error: float) -> bool:
        return bool(abs(squares.mean() / std_error**2 - 1) <= slack)

    computed = rivals.laplace_std_error(DAYS, epsilon)
    assert agrees(computed)
    assert not agrees(1.1 * computed)
    assert not agrees(computed / 1.1)
