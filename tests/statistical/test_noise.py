"""Draws of the mechanisms against their exact distributions.

Each mechanism is drawn from 20,000 times. A chi-squared test against the distribution it claims
fails by chance with probability 1e-7. Against a scale 10 % off the statistic is noncentral with
a mean of at least 151 beyond its degrees of freedom, and stays under the threshold with
probability at most 2e-7. The other bounds are more than five and a half standard deviations away
from what is true. Every test here fails by chance with probability below 1e-6.
"""

import math
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from dpdau.model.counting import CountVariance
from dpdau.privacy.gaussian import GaussianMechanism
from dpdau.privacy.intervals import interval
from dpdau.privacy.laplace import LaplaceMechanism

DRAWS = 20_000
FALSE_ALARM = 1e-7

Mechanism = LaplaceMechanism | GaussianMechanism

MECHANISMS: dict[str, Mechanism] = {
    "laplace, sensitivity 1": LaplaceMechanism.calibrate(0.3, 1),
    "laplace, sensitivity 64": LaplaceMechanism.calibrate(0.5, 64),
    "gaussian, sensitivity 1": GaussianMechanism.calibrate(0.5, 1e-6, 1),
    "gaussian, sensitivity 64": GaussianMechanism.calibrate(1.0, 1e-6, 64),
}


@cache
def draws_of(name: str) -> NDArray[np.int64]:
    """Noise drawn once and shared by the tests of a mechanism."""
    return np.array([MECHANISMS[name].measure(1000) for _ in range(DRAWS)]) - 1000


every_mechanism = pytest.mark.parametrize("name", MECHANISMS)


def distribution(mechanism: Mechanism, factor: float = 1.0) -> NDArray[np.float64]:
    """Masses on the integers from −n to n of the mechanism with its scale multiplied."""
    reach = math.ceil(30 * mechanism.std_error)
    noise = np.abs(np.arange(-reach, reach + 1))
    if isinstance(mechanism, LaplaceMechanism):
        weights = np.exp(-noise / (factor * mechanism.scale))
    else:
        weights = np.exp(-(noise**2) / (2 * (factor * mechanism.sigma) ** 2))
    return weights / weights.sum()


def chi_squared_p_value(draws: NDArray[np.int64], masses: NDArray[np.float64]) -> float:
    """The p-value of the draws in about sixteen cells of equal mass."""
    reach = len(masses) // 2
    cells = np.minimum((np.cumsum(masses) - masses / 2) * 16, 15).astype(int)
    expected = np.bincount(cells, masses, minlength=16) * len(draws)
    observed = np.bincount(cells[np.clip(draws + reach, 0, 2 * reach)], minlength=16)
    used = expected > 0
    return float(stats.chisquare(observed[used], expected[used]).pvalue)


@every_mechanism
def test_draws_have_the_distribution_that_the_mechanism_claims(
    name: str,
) -> None:
    mechanism, draws = MECHANISMS[name], draws_of(name)
    assert chi_squared_p_value(draws, distribution(mechanism)) > FALSE_ALARM


@pytest.mark.parametrize("factor", [0.9, 1.1])
@every_mechanism
def test_draws_do_not_have_the_distribution_of_a_scale_ten_percent_off(
    name: str, factor: float
) -> None:
    mechanism, draws = MECHANISMS[name], draws_of(name)
    assert chi_squared_p_value(draws, distribution(mechanism, factor)) < FALSE_ALARM


@every_mechanism
def test_draws_have_the_standard_error_that_is_stated(
    name: str,
) -> None:
    # The relative standard error of a root mean square of 20,000 draws is at most 0.8 %.
    mechanism, draws = MECHANISMS[name], draws_of(name)
    assert math.sqrt(np.mean(draws.astype(float) ** 2)) == pytest.approx(
        mechanism.std_error, rel=0.045
    )


@every_mechanism
def test_intervals_of_exact_counts_cover_ninety_five_percent(
    name: str,
) -> None:
    # True coverage lies in [0.95, 0.96] and a standard deviation is 0.0015.
    mechanism, draws = MECHANISMS[name], draws_of(name)
    half_width = mechanism.half_width()
    bounds = [interval(1000 + int(draw), half_width) for draw in draws]
    covered = np.mean([each.lower <= 1000 <= each.upper for each in bounds])
    assert 0.93 < covered < 0.97


@every_mechanism
def test_intervals_of_sampled_counts_cover_ninety_five_percent(
    name: str,
) -> None:
    # The sketch's error is played by normal quantiles in an order unrelated to the noise.
    mechanism, draws = MECHANISMS[name], draws_of(name)
    true, relative_error = 100_000.0, mechanism.std_error / 100_000
    quantiles = stats.norm.ppf((np.arange(DRAWS) + 0.5) / DRAWS)
    sketched = true * (1 + relative_error * quantiles[np.arange(DRAWS) * 7919 % DRAWS])
    half_width = mechanism.half_width()
    bounds = [
        interval(count + draw, half_width, CountVariance(quadratic=relative_error**2))
        for count, draw in zip(sketched, draws, strict=True)
    ]
    covered = np.mean([each.lower <= true <= each.upper for each in bounds])
    assert 0.93 < covered < 0.97
