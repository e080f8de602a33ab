"""Verdicts of a soak: what passes, and what a planted fault looks like to each."""

import math
from collections.abc import Iterator
from statistics import NormalDist

import pytest

from _verdicts import (
    BYTES_A_USER,
    Verdict,
    bounded,
    flat_memory,
    level,
    no_drift,
    noise_of_scale,
    steady,
)

DAYS = 30
USERS = [600_000.0 + 4_000 * day for day in range(DAYS)]
JOINED_MIB = 4_000 * BYTES_A_USER / 2**20


def wobbling(base: float, growth: float = 0.0, wobble: float = 2.0) -> list[float]:
    """A daily figure that grows and swings around its line."""
    return [base + growth * day + wobble * math.sin(2.4 * day) for day in range(DAYS)]


def warm(growth: float) -> list[float]:
    """Memory that fills caches in the first days, then grows."""
    return [each - 100 * math.exp(-day) for day, each in enumerate(wobbling(300.0, growth))]


def normal(count: int, sigma: float = 1.0) -> Iterator[float]:
    """The quantiles of a normal distribution."""
    for each in range(count):
        yield NormalDist(0, sigma).inv_cdf((each + 0.5) / count)


def test_memory_may_grow_with_the_users_who_join_and_no_faster() -> None:
    assert flat_memory("memory", warm(0.0), USERS).holds is True
    assert flat_memory("memory", warm(JOINED_MIB), USERS).holds is True
    assert flat_memory("memory", warm(2 * JOINED_MIB + 1), USERS).holds is False


def test_a_leak_is_caught_where_nobody_joins() -> None:
    nobody = [600_000.0] * DAYS
    assert flat_memory("memory", warm(0.2), nobody).holds is True
    assert flat_memory("memory", warm(1.0), nobody).holds is False


def test_one_heavy_day_is_no_leak() -> None:
    heavy = warm(0.0)
    heavy[20] += 200
    assert flat_memory("memory", heavy, USERS).holds is True


def test_users_who_leave_excuse_no_growth() -> None:
    assert flat_memory("memory", warm(1.0), USERS[::-1]).holds is False


def test_a_file_that_is_once_too_large_is_caught() -> None:
    assert bounded("log", [3.0, 200.0, 4.0], 256.0, "MiB").holds is True
    assert bounded("log", [3.0, 257.0, 4.0], 256.0, "MiB").holds is False


def test_files_that_are_left_open_are_caught() -> None:
    assert level("open files", [30.0, 31.0] * (DAYS // 2)).holds is True
    assert level("open files", [30.0 + day for day in range(DAYS)]).holds is False


@pytest.mark.parametrize(("growth", "holds"), [(0.0, True), (0.1, True), (1.5, False)])
def test_latencies_that_creep_up_are_caught(growth: float, *, holds: bool) -> None:
    found = steady("p99", wobbling(40.0, growth), most_ratio=1.25, slack=2, rises=True)
    assert found.holds is holds


def test_a_rate_that_sinks_is_caught_and_one_that_rises_is_welcome() -> None:
    for growth, holds in ((0.0, True), (10.0, True), (-3_000.0, False)):
        rates = wobbling(100_000.0, growth * 1.0)
        assert steady("rate", rates, most_ratio=1.25, slack=0, rises=False).holds is holds


def test_what_happens_once_on_the_first_day_is_no_measure() -> None:
    figures = [5_000.0, *wobbling(40.0, 1.5)]
    assert steady("p99", figures, most_ratio=1.25, slack=2, rises=True).holds is False


def test_one_user_too_many_or_too_few_is_a_drift() -> None:
    days = {f"2031-06-{day:02d}": 0 for day in range(1, DAYS + 1)}
    assert no_drift("people", days, 30_000_000).holds is True
    found = no_drift("people", {**days, "2031-06-17": 1}, 30_000_000)
    assert found.holds is False
    assert "2031-06-17: 1" in found.found


def test_nothing_compared_is_no_success() -> None:
    assert no_drift("people", {}, 0).holds is False


@pytest.mark.parametrize(
    ("sigma", "holds"), [(1.0, True), (0.0, False), (0.5, False), (2.0, False)]
)
def test_noise_of_another_scale_is_rejected(sigma: float, *, holds: bool) -> None:
    values = [0.0] * 90 if sigma == 0 else list(normal(90, sigma))
    assert noise_of_scale("noise", values).holds is holds


def test_noise_around_another_total_is_rejected() -> None:
    assert noise_of_scale("noise", [each + 2 for each in normal(90)]).holds is False


@pytest.mark.parametrize(
    "verdict",
    [
        flat_memory("memory", [300.0] * 8, USERS[:8]),
        level("files", [30.0] * 8),
        steady("p99", [30.0] * 8, most_ratio=2, slack=1, rises=True),
        noise_of_scale("noise", []),
    ],
)
def test_too_few_days_are_not_judged(verdict: Verdict) -> None:
    assert verdict.holds is None
