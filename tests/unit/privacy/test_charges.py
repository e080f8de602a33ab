import json
import math
from fractions import Fraction
from typing import Any

import dp_accounting
import numpy as np
import pytest
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant, compute_epsilon
from hypothesis import given
from hypothesis import strategies as st

import exact_privacy as exact
from dpdau.errors import InvalidValueError
from dpdau.privacy.charges import (
    Charge,
    GaussianCharge,
    LaplaceCharge,
    PureCharge,
    charge_from_dict,
)
from dpdau.privacy.renyi import DENSE_ORDERS
from support.dp_events import event_of

ORDERS = np.array([1.001, 1.5, 2.0, 4.0, 8.0, 16.0, 32.0, 200.0])

scales = st.floats(0.05, 100)
charges = st.one_of(
    st.builds(LaplaceCharge, scales, st.integers(1, 2000)),
    st.builds(GaussianCharge, scales, st.integers(1, 10**12), st.integers(1, 400)),
    st.builds(PureCharge, st.floats(0, 50)),
)


def library_rdp(
    event: dp_accounting.DpEvent,
    relation: dp_accounting.NeighboringRelation = (
        dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE
    ),
) -> np.ndarray:
    accountant = RdpAccountant(ORDERS, relation).compose(event)
    return np.array(accountant._rdp)  # noqa: SLF001 - the library shows its curve nowhere else


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.3, 12.0])
@pytest.mark.parametrize("shift", [1, 2, 3, 17])
def test_the_laplace_curve_is_the_divergence_of_the_noise_itself(scale: float, shift: int) -> None:
    noise = np.arange(-3000, 3001)
    log_masses = -np.abs(noise) / scale + math.log(math.tanh(0.5 / scale))
    expected = [exact.lattice_divergence(log_masses, shift, order) for order in ORDERS]
    assert LaplaceCharge(scale, shift).rdp(ORDERS) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("epsilon", [0.01, 0.3, 1.0, 5.0])
def test_at_sensitivity_one_the_curve_is_that_of_randomised_response(epsilon: float) -> None:
    flips = dp_accounting.RandomizedResponseDpEvent(2 / (1 + math.exp(epsilon)), 2)
    expected = library_rdp(flips, dp_accounting.NeighboringRelation.REPLACE_ONE)
    assert LaplaceCharge(1 / epsilon, 1).rdp(ORDERS) == pytest.approx(expected, rel=1e-7)
    assert PureCharge(epsilon).rdp(ORDERS) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 3.0])
def test_the_curve_of_continuous_laplace_noise_is_the_limit_of_large_sensitivities(
    epsilon: float,
) -> None:
    expected = library_rdp(dp_accounting.LaplaceDpEvent(1 / epsilon))
    assert LaplaceCharge(1e6 / epsilon, 10**6).rdp(ORDERS) == pytest.approx(expected, rel=1e-5)


def test_the_curve_of_continuous_laplace_noise_understates_discrete_noise() -> None:
    continuous = library_rdp(dp_accounting.LaplaceDpEvent(1.0))
    assert (continuous < LaplaceCharge(1.0, 1).rdp(ORDERS)).all()
    # A hundred releases would be stated at δ = 1e-6, but at that ε they have a hundred times it.
    orders = DENSE_ORDERS[(DENSE_ORDERS > 1.01) & (DENSE_ORDERS < 1000)]
    accountant = RdpAccountant(orders).compose(dp_accounting.LaplaceDpEvent(1.0), 100)
    claimed = accountant.get_epsilon(1e-6)
    assert exact.randomised_response_delta(1.0, 100, claimed) > 1e-4


def test_no_epsilon_has_no_divergence() -> None:
    assert not PureCharge(0.0).rdp(ORDERS).any()


@given(charges)
def test_curves_rise_with_the_order(charge: Charge) -> None:
    curve = charge.rdp(DENSE_ORDERS)
    assert (curve >= 0).all()
    assert (np.diff(curve) >= -1e-8 - 1e-8 * curve[1:]).all()


@given(st.floats(1e-9, 1e6), st.integers(1, 10**6))
def test_laplace_curves_stay_within_what_pure_privacy_allows(epsilon: float, shift: int) -> None:
    charge = LaplaceCharge(shift / epsilon, shift)
    curve = charge.rdp(DENSE_ORDERS)
    assert (curve <= charge.epsilon(0.0)).all()
    assert (curve <= PureCharge(charge.epsilon(0.0)).rdp(DENSE_ORDERS) * (1 + 1e-9) + 1e-9).all()


@given(st.integers(1, 10**12), st.floats(0.05, 1e6))
def test_the_gaussian_curve_is_the_library_s(squared: int, sigma: float) -> None:
    charge = GaussianCharge(sigma, squared, 31)
    assert charge.rdp(ORDERS) == pytest.approx(library_rdp(event_of(charge)), rel=1e-9)


@pytest.mark.parametrize(
    "charge", [LaplaceCharge(2.0, 1), LaplaceCharge(10.0, 7), PureCharge(0.4), PureCharge(0.0)]
)
def test_the_library_s_loss_accountant_agrees_on_one_pure_release(charge: Charge) -> None:
    accountant = PLDAccountant().compose(event_of(charge))
    assert accountant.get_epsilon(1e-9) == pytest.approx(charge.epsilon(1e-9), abs=2e-4)


def test_the_library_s_loss_accountant_agrees_on_one_gaussian_release() -> None:
    charge = GaussianCharge(4e5, 10**10, 31)
    accountant = PLDAccountant().compose(event_of(charge))
    assert accountant.get_epsilon(1e-6) == pytest.approx(charge.epsilon(1e-6), rel=1e-6)


@given(st.floats(1e-3, 1e6), st.integers(1, 10**6))
def test_pure_epsilon_is_rounded_up(scale: float, shift: int) -> None:
    epsilon = LaplaceCharge(scale, shift).epsilon(1e-6)
    ratio = Fraction(shift) / Fraction(scale)
    assert Fraction(math.nextafter(epsilon, 0)) < ratio <= Fraction(epsilon)


def test_gaussian_epsilon_is_finite_at_any_delta() -> None:
    assert GaussianCharge(8.06, 1).epsilon(1e-6) == pytest.approx(0.5, rel=2e-3)
    assert GaussianCharge(8.06, 1).epsilon(1e-12) > GaussianCharge(8.06, 1).epsilon(1e-6)


@given(charges)
def test_charges_survive_json(charge: Charge) -> None:
    assert charge_from_dict(json.loads(json.dumps(charge.to_dict()))) == charge


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"kind": "uniform"},
        {"kind": "laplace", "scale": 1.0},
        {"kind": "laplace", "scale": 1.0, "sensitivity": 1, "extra": 1},
        {"kind": "laplace", "scale": 0.0, "sensitivity": 1},
        {"kind": "laplace", "scale": "1", "sensitivity": 1},
        {"kind": "laplace", "scale": math.inf, "sensitivity": 1},
        {"kind": "laplace", "scale": True, "sensitivity": 1},
        {"kind": "laplace", "scale": 1.0, "sensitivity": 0},
        {"kind": "laplace", "scale": 1.0, "sensitivity": 1.5},
        {"kind": "laplace", "scale": 1.0, "sensitivity": True},
        {"kind": "gaussian", "sigma": 1.0, "sensitivity_squared": 1},
        {"kind": "gaussian", "sigma": -1.0, "sensitivity_squared": 1, "dimension": 1},
        {"kind": "gaussian", "sigma": 1.0, "sensitivity_squared": 0, "dimension": 1},
        {"kind": "gaussian", "sigma": 1.0, "sensitivity_squared": 1, "dimension": 0},
        {"kind": "gaussian", "sigma": 1.0, "sensitivity_squared": 1, "dimension": 1, "x": 0},
        {"kind": "pure", "epsilon": -1.0},
        {"kind": "pure", "epsilon": math.nan},
        {"kind": "pure", "epsilon": None},
        {"kind": "pure", "epsilon": 1.0, "delta": 0.0},
    ],
)
def test_what_is_no_charge_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError):
        charge_from_dict(fields)


@pytest.mark.parametrize("name", ["sigma", "sensitivity_squared", "dimension"])
def test_a_figure_that_no_gaussian_noise_has_is_named(name: str) -> None:
    figures = {"sigma": 1.0, "sensitivity_squared": 1, "dimension": 1, name: 0}
    with pytest.raises(InvalidValueError, match=rf"^{name} is 0; "):
        charge_from_dict({"kind": "gaussian", **figures})


@pytest.mark.parametrize("name", ["scale", "sensitivity"])
def test_a_figure_that_no_laplace_noise_has_is_named(name: str) -> None:
    figures = {"scale": 1.0, "sensitivity": 1, name: 0}
    with pytest.raises(InvalidValueError, match=rf"^{name} is 0; "):
        charge_from_dict({"kind": "laplace", **figures})


def test_what_is_found_in_place_of_a_charge_is_named() -> None:
    with pytest.raises(InvalidValueError, match=r"charge is \{'kind': 'uniform'\}; expected a lap"):
        charge_from_dict({"kind": "uniform"})


def test_the_library_s_conversion_gives_a_curve_s_epsilon() -> None:
    charge = GaussianCharge(8.06, 1)
    orders = np.linspace(2, 100, 200)
    epsilon, _ = compute_epsilon(orders, charge.rdp(orders), 1e-6)
    assert charge.epsilon(1e-6) < epsilon < 1.1 * charge.epsilon(1e-6)
