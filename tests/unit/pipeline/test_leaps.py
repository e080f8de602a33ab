"""A clock that leaps ahead of the time that has passed is believed only after a while."""

from datetime import UTC, datetime, timedelta

import pytest

from dpdau.errors import ClockLeaptError
from dpdau.pipeline.leaps import BELIEVED_AFTER, LEAP, LeapGuard

START = datetime(2025, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Times:
    """A clock, and the time that passes whatever it says."""

    def __init__(self) -> None:
        self.now = START
        self.elapsed = timedelta(0)
        self.guard = LeapGuard(lambda: self.now, elapsed=self.seconds)

    def seconds(self) -> float:
        return self.elapsed.total_seconds()

    def pass_(self, duration: timedelta) -> None:
        self.now += duration
        self.elapsed += duration


@pytest.fixture
def times() -> Times:
    return Times()


def test_time_that_passes_is_no_leap(times: Times) -> None:
    times.pass_(timedelta(days=400))
    times.guard.require_steady()


def test_a_month_at_once_is_no_leap_even_time_after_time(times: Times) -> None:
    for _ in range(5):
        times.now += timedelta(days=31)
        times.guard.require_steady()


def test_a_leap_is_doubted_for_a_while_and_then_believed(times: Times) -> None:
    times.now += LEAP + HOUR
    with pytest.raises(ClockLeaptError, match=r"from 2025-11-20 12:00 to 2025-12-25 13:00") as told:
        times.guard.require_steady()
    assert told.value.retry_after_seconds == BELIEVED_AFTER.total_seconds()
    times.pass_(BELIEVED_AFTER - HOUR)
    assert not times.guard.is_steady
    with pytest.raises(ClockLeaptError, match="for 1 more hours"):
        times.guard.require_steady()
    times.pass_(HOUR)
    assert times.guard.is_steady
    times.guard.require_steady()


def test_a_leap_that_is_taken_back_is_forgotten(times: Times) -> None:
    times.now += timedelta(days=365)
    assert not times.guard.is_steady
    times.now -= timedelta(days=365)
    assert times.guard.is_steady
    times.now += timedelta(days=365)
    times.pass_(HOUR)
    assert not times.guard.is_steady


def test_a_clock_that_goes_back_and_comes_forward_again_is_believed(times: Times) -> None:
    times.now -= timedelta(days=365)
    assert times.guard.is_steady
    times.pass_(HOUR)
    times.now += timedelta(days=365)
    assert times.guard.is_steady


def test_a_second_leap_does_not_make_the_first_one_believed_sooner(times: Times) -> None:
    times.now += timedelta(days=100)
    assert not times.guard.is_steady
    times.pass_(BELIEVED_AFTER)
    assert times.guard.is_steady
    times.now += timedelta(days=100)
    assert not times.guard.is_steady
