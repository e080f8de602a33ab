"""What sketches promise of their randomness: errors, coverage, and privacy of the real thing.

Bounds hold but for a chance of 1e-6 a test. Keys and noise are drawn anew on each run.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray
from pyroaring import BitMap
from scipy import stats

from dpdau.hashing import Sampler
from dpdau.model.counting import CountVariance
from dpdau.privacy.continual import band_half_widths, estimates, half_widths, measure_row
from dpdau.privacy.intervals import interval
from dpdau.privacy.intrinsic import IntrinsicMechanism
from dpdau.privacy.laplace import LaplaceMechanism
from dpdau.privacy.strategy import Presence, make_plan
from dpdau.sketches import HllppSketch

DRAWS = 4_000
LOG2_REGISTERS = 7
MECHANISM = IntrinsicMechanism(1.0, LOG2_REGISTERS)
USERS = [0, 300, 5_000]


@lru_cache
def hllpp_estimates(users: int) -> NDArray[np.float64]:
    """Estimates of as many releases of the same users."""
    members = BitMap(range(users))

    def one() -> int:
        sketch = HllppSketch(LOG2_REGISTERS, MECHANISM.threshold, MECHANISM.phantoms)
        sketch.add(members)
        return sketch.estimate()

    return np.array([one() for _ in range(DRAWS)], dtype=np.float64)


@lru_cache
def sampled_counts(users: int, exponent: int) -> NDArray[np.int64]:
    """How many of the same users are in samples under different keys, times 2^k."""
    ids = [f"user {each}" for each in range(users)]
    counts = [int(Sampler.create(exponent).sampled(ids).sum()) for _ in range(DRAWS)]
    return np.array(counts) << exponent


def covered(
    bounds: Callable[[float], tuple[float, float]], draws: NDArray[np.float64], true: int
) -> float:
    inside = [lower <= true <= upper for lower, upper in map(bounds, draws.tolist())]
    return float(np.mean(inside))


@pytest.mark.parametrize("users", USERS)
def test_hllpp_estimates_are_unbiased_and_have_the_stated_error(users: int) -> None:
    draws, std_error = hllpp_estimates(users), math.sqrt(MECHANISM.variance.at(users))
    # Five standard errors of a mean, and an hundredth for the composite estimate's own bias.
    assert abs(draws.mean() - users) < (5 / math.sqrt(DRAWS) + 0.05) * std_error
    ratio = draws.std() / std_error
    assert 0.91 < ratio < 1.09
    # Errors stated a tenth too small or too large would be found.
    assert not 0.91 < ratio / 1.2 < 1.09
    assert not 0.91 < ratio * 1.2 < 1.09


@pytest.mark.parametrize("users", USERS)
def test_hllpp_intervals_cover_ninety_five_percent(users: int) -> None:
    def bounds(estimate: float) -> tuple[float, float]:
        found = interval(estimate, 0, MECHANISM.variance)
        return found.lower, found.upper

    # Clamping at 0 can only add to the coverage of 0.
    share = covered(bounds, hllpp_estimates(users), users)
    assert 0.93 < share < (0.97 if users else 1.0)


@pytest.mark.parametrize(("users", "exponent"), [(2_000, 1), (2_000, 4), (2_000, 6)])
def test_samples_are_binomial(users: int, exponent: int) -> None:
    draws = sampled_counts(users, exponent)
    std_error = math.sqrt(CountVariance.of_sample(exponent).at(users))
    assert abs(draws.mean() - users) < 5 * std_error / math.sqrt(DRAWS)
    assert 0.94 < draws.std() / std_error < 1.06


@pytest.mark.parametrize(("users", "exponent"), [(2_000, 1), (2_000, 4), (2_000, 6)])
def test_intervals_of_sampled_laplace_releases_cover_ninety_five_percent(
    users: int, exponent: int
) -> None:
    mechanism = LaplaceMechanism.calibrate(0.5, 2**exponent)
    variance = CountVariance.of_sample(exponent)
    draws = np.array([mechanism.measure(int(each)) for each in sampled_counts(users, exponent)])

    def bounds(estimate: float) -> tuple[float, float]:
        found = interval(estimate, mechanism.half_width(), variance)
        return found.lower, found.upper

    assert 0.93 < covered(bounds, draws, users) < 0.97
    # Noise alone does not explain the errors.
    alone = LaplaceMechanism.calibrate(0.5, 1)
    assert covered(lambda x: (x - alone.half_width(), x + alone.half_width()), draws, users) < 0.9


def test_intervals_of_a_sampled_series_cover_ninety_five_percent() -> None:
    days, exponent, users = 5, 4, 2_000
    plan = make_plan(days, Presence("unbounded"), 1.0, 1e-6, sensitivity=2**exponent)
    variance = CountVariance.of_sample(exponent)

    covered_last = bands = 0
    for sample in sampled_counts(users, exponent).tolist():
        rows = [measure_row(plan, [sample] * day) for day in range(1, days + 1)]
        values = estimates(plan, rows)
        last = interval(values[-1], float(half_widths(plan)[-1]), variance)
        covered_last += last.lower <= users <= last.upper
        band = [
            interval(value, float(half_width), variance, 0.95 ** (1 / days))
            for value, half_width in zip(values, band_half_widths(plan), strict=True)
        ]
        bands += all(each.lower <= users <= each.upper for each in band)
    assert 0.93 < covered_last / DRAWS < 0.97
    # Šidák's bands are conservative where errors go together, as those of one sample do.
    assert bands / DRAWS > 0.93


def loss_at_least(
    here: NDArray[np.float64], there: NDArray[np.float64], thresholds: NDArray[np.float64]
) -> float:
    """A lower bound on the privacy loss between two samples of outputs, true but for 1e-7.

    Every threshold gives two events; their probabilities are bounded by Clopper and Pearson.
    """
    miss = 1e-7 / (4 * len(thresholds))
    largest = 0.0
    for threshold in thresholds:
        for events in (
            (here <= threshold, there <= threshold),
            (here > threshold, there > threshold),
        ):
            for one, other in (events, events[::-1]):
                likely = stats.beta.ppf(miss, max(one.sum(), 1), len(one) - one.sum() + 1)
                rare = stats.beta.ppf(1 - miss, other.sum() + 1, max(len(other) - other.sum(), 1))
                largest = max(largest, math.log(likely / rare)) if one.sum() else largest
    return largest


def audited_loss(threshold: int, phantoms: int) -> float:
    """What releases of nobody and of one user tell them apart, at least."""

    def draws(users: int) -> NDArray[np.float64]:
        found = []
        for _ in range(DRAWS):
            sketch = HllppSketch(4, threshold, phantoms)
            sketch.add(BitMap(range(users)))
            found.append(sketch.estimate())
        return np.array(found, dtype=np.float64)

    nobody, one = draws(0), draws(1)
    thresholds = np.quantile(np.concatenate([nobody, one]), np.linspace(0, 1, 20))
    return loss_at_least(nobody, one, thresholds)


def test_an_audit_of_real_releases_finds_no_more_than_epsilon() -> None:
    mechanism = IntrinsicMechanism(0.5, 4)
    assert audited_loss(mechanism.threshold, mechanism.phantoms) <= 0.5


@pytest.mark.parametrize("threshold", [IntrinsicMechanism(0.5, 4).threshold, 2**64 - 1])
def test_the_audit_finds_that_there_are_no_phantoms(threshold: int) -> None:
    assert audited_loss(threshold, 0) > 0.5
