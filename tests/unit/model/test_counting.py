import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.model.counting import EXACT, Counting, CountVariance, sampling_exponent
from dpdau.model.releases import SketchKind


@given(st.integers(1, 16))
def test_the_exponent_of_a_rate_is_its_binary_logarithm(exponent: int) -> None:
    assert sampling_exponent(2.0**-exponent) == exponent


@pytest.mark.parametrize("rate", [1.0, 2.0**-17, 0.3, 0.0, -0.5, math.inf, math.nan])
def test_other_rates_are_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="no power of two"):
        sampling_exponent(rate)


def test_the_variance_of_a_sample_is_that_of_the_binomial_distribution() -> None:
    # 2^k·Binomial(N, 2^−k) has variance 4^k·N·2^−k·(1 − 2^−k).
    assert CountVariance.of_sample(3).at(1_000) == 64 * 1_000 / 8 * 7 / 8


@given(st.integers(4, 21), st.floats(0.01, 1), st.integers(0, 10**6), st.integers(0, 10**8))
def test_phantoms_add_to_the_variance_what_as_many_users_would(
    log2_registers: int, kept: float, phantoms: int, users: int
) -> None:
    of_all = CountVariance.of_hyperloglog(log2_registers, kept, 0)
    of_users = CountVariance.of_hyperloglog(log2_registers, kept, phantoms)
    assert of_users.at(users) == pytest.approx(of_all.at(users + phantoms), rel=1e-6)


def test_of_many_users_the_error_of_a_hyperloglog_is_the_asymptotic_one() -> None:
    error = CountVariance.of_hyperloglog(12, 0.5, 10_000).relative_standard_error(1e9)
    assert error == pytest.approx(1.03896 / 64, rel=1e-4)


def test_of_a_negative_estimate_the_variance_is_that_of_nobody() -> None:
    variance = CountVariance(3.0, 5.0, 7.0)
    assert variance.at(-10) == variance.at(0) == 3


def test_what_one_user_can_change_follows_from_the_way_to_count() -> None:
    assert EXACT.sensitivity == 1
    assert Counting(SketchKind.THETA, exponent=5).sensitivity == 32
    assert Counting(SketchKind.HLLPP, log2_registers=12).sensitivity is None
