import math

import numpy as np
import pytest
from dp_accounting import rdp
from hypothesis import given
from hypothesis import strategies as st

from dpdau.privacy.gaussian_curve import gaussian_epsilon
from dpdau.privacy.renyi import DENSE_ORDERS, renyi_epsilon


@given(st.floats(1e-3, 100), st.floats(-12, -2))
def test_conversion_agrees_with_the_library(rho: float, log_delta: float) -> None:
    orders = DENSE_ORDERS[DENSE_ORDERS > 1.01]
    found, order = renyi_epsilon(orders, rho * orders, 10**log_delta)
    expected, expected_order = rdp.compute_epsilon(orders, rho * orders, 10**log_delta)
    assert found == pytest.approx(expected, rel=1e-12)
    assert found == 0 or order == expected_order


@given(st.floats(0.01, 1000), st.floats(-12, -2))
def test_it_lies_between_the_exact_curve_and_the_classic_conversion(
    mu: float, log_delta: float
) -> None:
    delta = 10**log_delta
    found, _ = renyi_epsilon(DENSE_ORDERS, DENSE_ORDERS * mu**2 / 2, delta)
    exact = gaussian_epsilon(mu, delta)
    assert exact <= found <= (mu**2 / 2 + mu * math.sqrt(-2 * math.log(delta))) * 1.001


def test_no_divergence_costs_nothing() -> None:
    assert renyi_epsilon(np.array([2.0, 4.0, 8.0]), np.zeros(3), 1e-6) == (0.0, 8.0)


def test_delta_zero_is_out_of_reach() -> None:
    assert renyi_epsilon(np.array([2.0]), np.ones(1), 0.0)[0] == math.inf
