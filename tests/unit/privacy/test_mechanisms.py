import math
from fractions import Fraction

import opendp.prelude as dp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exact_privacy as exact
from dpdau.errors import CalibrationError, InvalidValueError
from dpdau.privacy.charges import GaussianCharge, LaplaceCharge
from dpdau.privacy.gaussian import GaussianMechanism
from dpdau.privacy.laplace import LaplaceMechanism

SPACE = dp.atom_domain(T="i64"), dp.absolute_distance(T="i64")

epsilons = st.floats(1e-3, 1e6) | st.floats(0.05, 5)
sensitivities = st.sampled_from([1, 2, 64, 1024])


@given(epsilons, sensitivities)
def test_laplace_noise_is_the_least_that_is_private_in_exact_arithmetic(
    epsilon: float, sensitivity: int
) -> None:
    mechanism = LaplaceMechanism.calibrate(epsilon, sensitivity)
    assert mechanism.delta == 0
    assert Fraction(sensitivity) / Fraction(mechanism.scale) <= Fraction(mechanism.epsilon)
    assert mechanism.epsilon <= epsilon
    less = math.nextafter(mechanism.scale, 0)
    assert Fraction(sensitivity) / Fraction(less) > Fraction(epsilon)


@given(epsilons, sensitivities)
def test_laplace_epsilon_is_what_opendp_proves(epsilon: float, sensitivity: int) -> None:
    mechanism = LaplaceMechanism.calibrate(epsilon, sensitivity)
    measurement = dp.m.make_laplace(*SPACE, scale=mechanism.scale)
    assert measurement.map(sensitivity) == pytest.approx(mechanism.epsilon, rel=1e-14)


@given(epsilons, sensitivities, st.floats(-9, -2))
@settings(max_examples=20, deadline=None)
def test_gaussian_rho_is_what_opendp_proves(
    epsilon: float, sensitivity: int, log_delta: float
) -> None:
    mechanism = GaussianMechanism.calibrate(epsilon, 10**log_delta, sensitivity)
    measurement = dp.m.make_gaussian(*SPACE, scale=mechanism.sigma)
    rho = mechanism.charge.sensitivity_squared / (2 * mechanism.sigma**2)
    assert measurement.map(sensitivity) == pytest.approx(rho, rel=1e-12)


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 3.0])
@pytest.mark.parametrize("sensitivity", [1, 5])
def test_gaussian_noise_is_private_by_enumeration_and_less_is_not(
    epsilon: float, sensitivity: int
) -> None:
    mechanism = GaussianMechanism.calibrate(epsilon, 1e-6, sensitivity)
    assert (mechanism.epsilon, mechanism.delta) == (epsilon, 1e-6)
    assert exact.lattice_delta([sensitivity], mechanism.sigma, epsilon) <= 1e-6 * (1 + 1e-9)
    assert exact.lattice_delta([sensitivity], mechanism.sigma * 0.9999, epsilon) > 1e-6


def test_a_gaussian_mechanism_refuses_to_state_more_privacy_than_it_gives() -> None:
    with pytest.raises(CalibrationError, match="σ = 8"):
        GaussianMechanism(sigma=8.0, sensitivity=1, epsilon=0.5, delta=1e-6)


@pytest.mark.parametrize(
    "mechanism",
    [LaplaceMechanism.calibrate(1e6, 1), GaussianMechanism.calibrate(1e6, 1e-6, 1)],
)
def test_noise_vanishes_for_huge_epsilon(mechanism: LaplaceMechanism | GaussianMechanism) -> None:
    assert [mechanism.measure(7) for _ in range(20)] == [7] * 20
    assert mechanism.half_width() == 0
    assert mechanism.std_error == 0


@pytest.mark.parametrize(
    "mechanism",
    [LaplaceMechanism.calibrate(1e-3, 1), GaussianMechanism.calibrate(1e-3, 1e-6, 1)],
)
def test_noise_is_wide_for_tiny_epsilon(mechanism: LaplaceMechanism | GaussianMechanism) -> None:
    assert mechanism.std_error > 1000
    assert mechanism.half_width() > 1.9 * mechanism.std_error
    assert len({mechanism.measure(0) for _ in range(5)}) > 1


@given(st.floats(0.05, 50), st.floats(0.01, 0.999))
def test_the_laplace_half_width_is_the_smallest_with_the_coverage(
    scale: float, coverage: float
) -> None:
    h = LaplaceMechanism(scale, 1).half_width(coverage)
    decay = math.exp(-1 / scale)

    def outside(width: int) -> float:
        return 2 * decay ** (width + 1) / (1 + decay)

    assert outside(h) <= (1 - coverage) * (1 + 1e-9)
    assert h == 0 or outside(h - 1) > (1 - coverage) * (1 - 1e-9)


@given(st.floats(0.05, 50))
def test_the_laplace_standard_error_is_that_of_its_masses(scale: float) -> None:
    decay = math.exp(-1 / scale)
    variance = sum(2 * n * n * decay**n for n in range(1, 4000)) * (1 - decay) / (1 + decay)
    assert LaplaceMechanism(scale, 1).std_error == pytest.approx(math.sqrt(variance), rel=1e-9)


def test_mechanisms_know_what_they_cost() -> None:
    assert LaplaceMechanism(4.0, 2).charge == LaplaceCharge(4.0, 2)
    assert GaussianMechanism(9.0, 3, 2.0, 1e-6).charge == GaussianCharge(9.0, 9, 1)


@pytest.mark.parametrize("epsilon", [0, -1, 1e-10, 1e10, math.inf, math.nan])
def test_an_impossible_epsilon_is_refused(epsilon: float) -> None:
    with pytest.raises(InvalidValueError, match="epsilon"):
        LaplaceMechanism.calibrate(epsilon, 1)
    with pytest.raises(InvalidValueError, match="epsilon"):
        GaussianMechanism.calibrate(epsilon, 1e-6, 1)


def test_a_sensitivity_of_zero_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"^sensitivity is 0; "):
        LaplaceMechanism.calibrate(1.0, 0)
    with pytest.raises(InvalidValueError, match=r"^sensitivity is 0; "):
        GaussianMechanism.calibrate(1.0, 1e-6, 0)


@pytest.mark.parametrize("scale", [0, -1, math.inf, math.nan])
def test_laplace_noise_needs_a_scale(scale: float) -> None:
    with pytest.raises(InvalidValueError, match="scale"):
        LaplaceMechanism(scale, 1)
    with pytest.raises(InvalidValueError, match="sensitivity"):
        LaplaceMechanism(1.0, 0)


@pytest.mark.parametrize("delta", [0, 1, math.nan])
def test_gaussian_noise_needs_a_delta(delta: float) -> None:
    with pytest.raises(InvalidValueError, match="delta"):
        GaussianMechanism.calibrate(1.0, delta, 1)


@pytest.mark.parametrize("coverage", [0, 1, math.nan])
def test_a_coverage_out_of_range_is_refused(coverage: float) -> None:
    with pytest.raises(InvalidValueError, match="coverage"):
        LaplaceMechanism(1.0, 1).half_width(coverage)
