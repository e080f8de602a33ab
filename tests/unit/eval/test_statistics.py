import math
from _statistics import at_least, at_most, clipped, interval, named, share

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom


@given(st.integers(1, 60), st.data())
def test_a_limit_is_where_so_few_hits_become_unlikely(trials: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, trials - 1))
    limit = at_most(hits, trials, 0.95)
    assert binom.cdf(hits, trials, limit) == pytest.approx(0.05, rel=1e-6)
    assert at_least(trials - hits, trials, 0.95) == pytest.approx(1 - limit)


def test_limits_of_the_certain_are_certain() -> None:
    assert at_most(5, 5, 0.95) == 1
    assert at_least(0, 5, 0.95) == 0
    assert share(5, 10, 0.95)[0] == 0.5


def test_an_interval_is_students() -> None:
    mean, low, high = interval([1.0, 2.0, 3.0, 4.0])
    half = 3.182446305 * math.sqrt(5 / 3) / 2
    assert (mean, low, high) == pytest.approx((2.5, 2.5 - half, 2.5 + half))
    assert interval([3.0]) == (3.0, 3.0, 3.0)


def test_an_interval_covers_as_often_as_it_says_and_a_narrower_one_does_not() -> None:
    random = np.random.default_rng(3)  # noqa: TID251 - trials of a test, with a fixed seed
    found = [interval(random.normal(size=8).tolist()) for _ in range(4_000)]
    covered = sum(low <= 0 <= high for _, low, high in found) / 4_000
    narrower = sum(abs(mean) <= 0.9 * (high - mean) for mean, _, high in found) / 4_000
    assert 0.94 < covered < 0.96
    assert narrower < 0.94


def test_figures_become_columns_and_shares_stay_shares() -> None:
    assert named("rmse", (2.0, 1.0, 3.0)) == {"rmse": 2.0, "rmse_low": 1.0, "rmse_high": 3.0}
    assert clipped((0.5, -0.1, 1.1)) == (0.5, 0.0, 1.0)
