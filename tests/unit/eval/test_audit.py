import math

import numpy as np
import pytest
from numpy.typing import NDArray

from audit import lower_epsilon, lower_mu

RANDOM = np.random.default_rng(11)  # noqa: TID251 - trials of a test, with a fixed seed
Array = NDArray[np.float64]


def gaussian_worlds(mu: float, trials: int) -> tuple[Array, Array]:
    return RANDOM.normal(size=trials), RANDOM.normal(loc=mu, size=trials)


def test_the_bound_on_mu_fails_no_more_often_than_it_says() -> None:
    # Expected: at most 5 % of 2,000; more than 160 has a probability below 1e-8.
    bounds = [lower_mu(*gaussian_worlds(1.0, 200), 0.5, 0.95) for _ in range(2_000)]
    assert sum(bound > 1 for bound in bounds) <= 160


def test_the_bound_on_mu_is_close_with_enough_trials_and_tells_half_of_the_noise() -> None:
    assert lower_mu(*gaussian_worlds(1.5, 4_000), 0.75, 0.95) > 0.85 * 1.5
    assert lower_mu(*gaussian_worlds(3.0, 400), 0.75, 0.95) > 1.5


def laplace_worlds(epsilon: float, trials: int) -> tuple[Array, Array]:
    return RANDOM.laplace(scale=1 / epsilon, size=trials), 1 + RANDOM.laplace(
        scale=1 / epsilon, size=trials
    )


def test_the_bound_on_epsilon_fails_no_more_often_than_it_says() -> None:
    bounds = [lower_epsilon(*laplace_worlds(1.0, 200), 1.0, 0.0, 0.95) for _ in range(1_000)]
    assert sum(bound > 1 for bound in bounds) <= 90


def test_the_bound_on_epsilon_is_close_with_enough_trials() -> None:
    assert lower_epsilon(*laplace_worlds(1.0, 20_000), 1.0, 0.0, 0.95) > 0.9
    assert lower_epsilon(*laplace_worlds(2.0, 2_000), 1.0, 0.0, 0.95) > 1.0


def test_delta_excuses_what_it_covers() -> None:
    # All of what tells the worlds apart has a probability of 1 %.
    absent, present = np.zeros(100_000), (np.arange(100_000) < 1_000).astype(float)
    assert lower_epsilon(absent, present, 0.5, 0.02, 0.95) == 0
    assert lower_epsilon(absent, present, 0.5, 0.0, 0.95) > 1


def test_worlds_that_are_alike_prove_nothing() -> None:
    assert lower_mu(np.zeros(50), np.zeros(50), 0.5, 0.95) == 0
    assert lower_epsilon(np.zeros(50), np.zeros(50), 0.5, 1e-6, 0.95) == 0


def test_worlds_that_are_never_alike_prove_what_so_many_trials_can() -> None:
    bound = lower_epsilon(np.zeros(1_000), np.ones(1_000), 0.5, 0.0, 0.95)
    assert bound == pytest.approx(math.log(1_000 / -math.log(0.0125)), rel=0.01)
    assert lower_mu(np.zeros(1_000), np.ones(1_000), 0.5, 0.95) > 5
