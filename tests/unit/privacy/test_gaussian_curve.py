import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exact_privacy as exact
from dpdau.errors import InvalidValueError
from dpdau.privacy.gaussian_curve import (
    gaussian_delta,
    gaussian_epsilon,
    gaussian_log_delta,
    gaussian_mu,
)

exponents = st.floats(-6, 7)
log_deltas = st.floats(-300, -0.01) | st.floats(-20, -0.01)


@pytest.mark.parametrize(
    ("epsilon", "sigma"), [(0.3, 12.992), (0.5, 8.058), (1, 4.225), (3, 1.5439), (3.5, 1.3444)]
)
def test_sigma_at_unit_sensitivity_agrees_with_published_figures(
    epsilon: float, sigma: float
) -> None:
    assert 1 / gaussian_mu(epsilon, 1e-6) == pytest.approx(sigma, abs=5e-4)


@given(exponents, log_deltas)
@settings(deadline=None)
def test_mu_is_private_in_sixty_digits_and_no_larger_mu_is(
    exponent: float, log_delta: float
) -> None:
    epsilon, delta = 10.0**exponent, 10.0**log_delta
    mu = gaussian_mu(epsilon, delta)
    assert exact.gaussian_delta(mu, epsilon) <= delta
    assert exact.gaussian_delta(mu * (1 + 1e-9), epsilon) > delta


@given(exponents, log_deltas)
@settings(deadline=None)
def test_epsilon_is_private_in_sixty_digits_and_inverts_mu(
    exponent: float, log_delta: float
) -> None:
    epsilon, delta = 10.0**exponent, 10.0**log_delta
    mu = gaussian_mu(epsilon, delta)
    found = gaussian_epsilon(mu, delta)
    assert found == pytest.approx(epsilon, rel=1e-9, abs=1e-9)
    assert exact.gaussian_delta(mu, found) <= delta


@given(st.floats(-6, 3), st.floats(-6, 4), st.sampled_from([-1, 1]))
@settings(deadline=None)
def test_delta_is_never_below_the_true_one_and_hardly_above(
    mu_exponent: float, epsilon_exponent: float, sign: int
) -> None:
    mu, epsilon = 10.0**mu_exponent, sign * 10.0**epsilon_exponent
    true = exact.gaussian_delta(mu, epsilon)
    found = gaussian_delta(mu, epsilon)
    if true < 1e-300:
        assert found < 1e-299
    else:
        assert min(true, 1) <= found <= true * (1 + 1e-8)


def test_nothing_to_hide_costs_nothing() -> None:
    assert gaussian_delta(0, 0) == 0
    assert gaussian_delta(0, -math.log(4)) == pytest.approx(0.75)
    assert gaussian_epsilon(0, 0) == 0


@pytest.mark.parametrize("mu", [1e-9, 1e-3, 1.0, 1e3])
def test_a_delta_below_every_float_is_zero(mu: float) -> None:
    assert gaussian_delta(mu, 1e9) == 0


def test_delta_zero_is_out_of_reach_of_gaussian_noise() -> None:
    assert gaussian_epsilon(1, 0) == math.inf
    assert gaussian_mu(1, 0) == 0


def test_delta_one_is_met_by_anything() -> None:
    assert gaussian_epsilon(5, 1) == 0
    with pytest.raises(InvalidValueError, match="delta"):
        gaussian_mu(1, 1)


@pytest.mark.parametrize("mu", [-1, math.inf, math.nan])
def test_a_mu_out_of_range_is_refused(mu: float) -> None:
    with pytest.raises(InvalidValueError, match=rf"^mu is {mu}; "):
        gaussian_delta(mu, 1)


@pytest.mark.parametrize("delta", [-1e-9, 1.1, math.nan])
def test_a_delta_out_of_range_is_refused(delta: float) -> None:
    with pytest.raises(InvalidValueError, match=rf"^delta is {delta}; "):
        gaussian_epsilon(1, delta)


@pytest.mark.parametrize("epsilon", [-1, math.inf, math.nan])
def test_an_epsilon_out_of_range_is_refused(epsilon: float) -> None:
    with pytest.raises(InvalidValueError, match=rf"^epsilon is {epsilon}; "):
        gaussian_mu(epsilon, 1e-6)


@pytest.mark.parametrize("epsilon", [-1e-3, -1.0, -50.0, -1e3])
def test_no_delta_is_above_one(epsilon: float) -> None:
    for mu in (1e-3, 1.0, 30.0):
        assert gaussian_log_delta(mu, epsilon) <= 0.0
