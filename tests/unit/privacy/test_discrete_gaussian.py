import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import exact_privacy as exact
from dpdau.errors import InvalidValueError
from dpdau.privacy.discrete_gaussian import (
    LatticeNoise,
    composed_gaussian_epsilon,
    discrete_gaussian_epsilon,
    discrete_gaussian_sigma,
    discretisation,
    half_width,
    log_normaliser,
    shift_delta,
    standard_deviation,
)
from dpdau.privacy.gaussian_curve import gaussian_epsilon, gaussian_mu

VECTORS = [(1,), (3,), (1, 1), (2, 1), (3, 4), (5, 1, 2), (1,) * 6, (9, 2, 2, 1)]


@pytest.mark.parametrize("shifts", VECTORS)
@pytest.mark.parametrize("mu", [0.2, 0.7, 2.0])
@pytest.mark.parametrize("delta", [1e-2, 1e-4, 1e-6])
def test_epsilon_is_never_below_what_enumeration_gives(
    shifts: tuple[int, ...], mu: float, delta: float
) -> None:
    squared = sum(shift**2 for shift in shifts)
    sigma = math.sqrt(squared) / mu
    epsilon = discrete_gaussian_epsilon(squared, sigma, len(shifts), delta)
    assert exact.lattice_delta(shifts, sigma, epsilon) <= delta * (1 + 1e-9)


@pytest.mark.parametrize("shifts", [(12, 9), (6, 5, 4)])
def test_comparison_with_rounded_gaussians_is_never_below_enumeration_and_close(
    shifts: tuple[int, ...],
) -> None:
    sigma, delta = 20.0, 1e-5
    squared = sum(shift**2 for shift in shifts)
    epsilon = composed_gaussian_epsilon([LatticeNoise(squared, sigma, len(shifts))], delta)
    true = exact.smallest_epsilon(
        lambda epsilon: exact.lattice_delta(shifts, sigma, epsilon), delta, epsilon
    )
    assert true < epsilon < true * 1.02


@pytest.mark.parametrize("shift", [1, 2, 7])
@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.5, 13.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0, 5.0])
def test_one_dimension_is_exact(shift: int, sigma: float, epsilon: float) -> None:
    true = exact.lattice_delta([shift], sigma, epsilon)
    assert shift_delta(shift, sigma, epsilon) == pytest.approx(true, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("epsilon", [0.01, 0.3, 3.0])
def test_one_dimension_is_exact_by_the_difference_of_two_tails(epsilon: float) -> None:
    shift, sigma = 3, 5.0
    noise = np.arange(-200, 201)
    masses = np.exp(-(noise**2) / (2 * sigma**2))
    masses /= masses.sum()
    threshold = epsilon * sigma**2 / shift
    difference = (
        masses[noise > threshold - shift / 2].sum()
        - math.exp(epsilon) * masses[noise > threshold + shift / 2].sum()
    )
    assert shift_delta(shift, sigma, epsilon) == pytest.approx(difference, rel=1e-9)


def test_a_shift_far_beyond_the_noise_has_the_smallest_delta_there_is() -> None:
    assert shift_delta(1, 1e-4, 1e12) == 1e-305


@pytest.mark.parametrize("epsilon", [1e-3, 0.05, 0.3, 0.5, 1.0, 3.0, 3.5, 20.0, 1e3, 1e6])
@pytest.mark.parametrize(("squared", "dimension"), [(1, 1), (4096, 1), (10**10, 31), (7, 3)])
def test_sigma_is_the_smallest_that_satisfies_epsilon(
    epsilon: float, squared: int, dimension: int
) -> None:
    sigma = discrete_gaussian_sigma(squared, dimension, epsilon, 1e-6)
    assert discrete_gaussian_epsilon(squared, sigma, dimension, 1e-6) <= epsilon
    less = sigma * (1 - 1e-9)
    assert discrete_gaussian_epsilon(squared, less, dimension, 1e-6) > epsilon


@given(
    st.floats(-8, 3),
    st.integers(0, 30),
    st.sampled_from([1, 2, 31]),
    st.floats(-12, -1),
)
@settings(max_examples=60, deadline=None)
@example(log_epsilon=-4, bits=0, dimension=1, log_delta=-6)
@example(log_epsilon=-6, bits=8, dimension=1, log_delta=-6)
def test_the_price_of_the_sigma_for_an_epsilon_is_never_above_it(
    log_epsilon: float, bits: int, dimension: int, log_delta: float
) -> None:
    """To the last digit: what is charged may not exceed what was asked for."""
    epsilon, delta = 10.0**log_epsilon, 10.0**log_delta
    sigma = discrete_gaussian_sigma(1 << bits, dimension, epsilon, delta)
    assert discrete_gaussian_epsilon(1 << bits, sigma, dimension, delta) <= epsilon


def test_discretisation_is_negligible_at_the_scale_of_a_series() -> None:
    sigma = discrete_gaussian_sigma(10**10, 31, 2.8, 1e-6)
    assert sigma == pytest.approx(1e5 / gaussian_mu(2.8, 1e-6), rel=1e-8)


@pytest.mark.parametrize("sigma", [0.6, 50.0])
def test_the_price_of_the_comparison_is_what_the_inequalities_give(sigma: float) -> None:
    dimension, sensitivity, delta = 4, 3, 1e-6
    masses = np.exp(-(np.arange(-600, 601) ** 2) / (2 * sigma**2))
    waves = math.log(masses.sum() / (math.sqrt(2 * math.pi) * sigma))
    tail = math.sqrt(2 * math.log(1 / (1e-12 * delta)))
    reach = 2 + tail + 0.5 * 2 / sigma + sensitivity / sigma
    gain, loss = dimension / (24 * sigma**2), dimension * waves + reach**2 / (24 * sigma**2)
    price = discretisation([LatticeNoise(sensitivity**2, sigma, dimension)], delta)
    assert price.epsilon == pytest.approx(gain + loss, abs=1e-7)


def test_what_the_tail_takes_of_delta_is_taken_off_it() -> None:
    price = discretisation([LatticeNoise(1, 1e6, 1)], 1e-6)
    gain = 1 / (24 * 1e6**2)
    assert price.log_delta == pytest.approx(gain + 1e-12, rel=1e-3)


def test_tiny_noise_cannot_be_compared_with_continuous_noise() -> None:
    noise = LatticeNoise(1, 0.4, 2)
    assert discretisation([noise], 1e-6).epsilon == math.inf
    assert composed_gaussian_epsilon([noise], 1e-6) == math.inf


def test_vectors_of_tiny_noise_fall_back_on_renyi_divergence() -> None:
    epsilon = discrete_gaussian_epsilon(2, 0.4, 2, 1e-6)
    assert 2 / (2 * 0.4**2) < epsilon < 100
    assert exact.lattice_delta((1, 1), 0.4, epsilon) <= 1e-6


def test_composition_equals_one_longer_vector() -> None:
    noise = LatticeNoise(10**10, 2e5, 31)
    twice = composed_gaussian_epsilon([noise.repeated(2)], 1e-6)
    assert twice == pytest.approx(gaussian_epsilon(math.sqrt(2) / 2, 1e-6), rel=1e-7)
    assert composed_gaussian_epsilon([noise, noise], 1e-6) == pytest.approx(twice, rel=1e-7)


def test_a_delta_that_ample_noise_meets_costs_no_epsilon() -> None:
    assert discrete_gaussian_epsilon(1, 100.0, 1, 0.1) == 0


@pytest.mark.parametrize("sigma", [0.05, 0.3, 0.999, 1.0, 1.7, 4.0, 40.0])
def test_the_normaliser_and_the_deviation_are_the_sums_they_stand_for(sigma: float) -> None:
    noise = np.arange(-2000, 2001)
    weights = np.exp(-(noise**2) / (2 * sigma**2))
    assert log_normaliser(sigma) == pytest.approx(math.log(weights.sum()), abs=1e-14)
    variance = float(weights @ noise**2 / weights.sum())
    assert standard_deviation(sigma) == pytest.approx(math.sqrt(variance), rel=1e-12)


@given(st.floats(0.05, 60), st.floats(0.01, 0.999))
@settings(max_examples=50, deadline=None)
def test_the_half_width_is_the_smallest_with_the_coverage(sigma: float, coverage: float) -> None:
    noise = np.arange(-1000, 1001)
    masses = np.exp(-(noise**2) / (2 * sigma**2))
    masses /= masses.sum()
    h = half_width(sigma, coverage)
    assert masses[np.abs(noise) <= h].sum() >= coverage - 1e-12
    assert masses[np.abs(noise) <= h - 1].sum() < coverage


def test_the_half_width_of_wide_noise_is_the_normal_quantile() -> None:
    assert half_width(4096.0, 0.95) == pytest.approx(1.959964 * 4096, abs=1)
    assert half_width(1e6, 0.95) == 1959964


@pytest.mark.parametrize("coverage", [0, 1, math.nan])
def test_a_coverage_out_of_range_is_refused(coverage: float) -> None:
    with pytest.raises(InvalidValueError, match="coverage"):
        half_width(1.0, coverage)


@pytest.mark.parametrize(
    ("squared", "sigma", "dimension", "delta", "named"),
    [
        (0, 1.0, 1, 1e-6, "sensitivity_squared"),
        (1.5, 1.0, 1, 1e-6, "sensitivity_squared"),
        (1, 0.0, 1, 1e-6, "sigma"),
        (1, math.inf, 1, 1e-6, "sigma"),
        (1, 1.0, 0, 1e-6, "dimension"),
        (1, 1.0, 1, 0.0, "delta"),
        (1, 1.0, 1, 1.0, "delta"),
    ],
)
def test_parameters_out_of_range_are_refused(
    squared: int, sigma: float, dimension: int, delta: float, named: str
) -> None:
    with pytest.raises(InvalidValueError, match=named):
        discrete_gaussian_epsilon(squared, sigma, dimension, delta)


@pytest.mark.parametrize("epsilon", [0, -1, 1e-10, 1e10, math.inf, math.nan])
def test_an_impossible_epsilon_has_no_sigma(epsilon: float) -> None:
    with pytest.raises(InvalidValueError, match="epsilon"):
        discrete_gaussian_sigma(1, 1, epsilon, 1e-6)


def test_a_query_that_nobody_changes_needs_no_sigma() -> None:
    with pytest.raises(InvalidValueError, match="sensitivity_squared"):
        discrete_gaussian_sigma(0, 1, 1.0, 1e-6)
