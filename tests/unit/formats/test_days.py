from datetime import date
from zoneinfo import ZoneInfo

import pytest

from dpdau.formats import EventRules
from dpdau.formats.days import DayReader


def reader(timezone: str = "UTC") -> DayReader:
    return DayReader(EventRules(ZoneInfo(timezone), date(2024, 1, 1), date(2026, 12, 31), False))  # noqa: FBT003


def test_a_day_becomes_its_ordinal() -> None:
    assert reader().days["2026-01-31"] == date(2026, 1, 31).toordinal()


def test_the_first_and_the_last_accepted_day_are_accepted() -> None:
    assert reader().days["2024-01-01"] == date(2024, 1, 1).toordinal()
    assert reader().days["2026-12-31"] == date(2026, 12, 31).toordinal()


def test_a_day_after_the_last_is_refused_with_both_days() -> None:
    assert reader().days["2031-01-01"] == (
        "day 2031-01-01 is in the future (last accepted: 2026-12-31)"
    )


def test_a_day_before_the_first_is_refused_with_both_days() -> None:
    assert reader().days["2023-12-31"] == (
        "day 2023-12-31 is older than what is kept (first accepted: 2024-01-01)"
    )


def test_29_february_exists_in_leap_years_only() -> None:
    days = reader().days
    assert days["2024-02-29"] == date(2024, 2, 29).toordinal()
    assert days["2025-02-29"] == "day is not a calendar day written as YYYY-MM-DD"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-1-1",
        "20260101",
        "2026-W01-1",
        "2026-13-01",
        "2026-01-32",
        "0000-01-01",
        "10000-01-01",
        "+2026-01-01",
        " 2026-01-01",
        "2026-01-01\n",
        "2026-01-01T00:00:00Z",
        "٢٠٢٦-01-01",
        "2026-01-01\0",
        "\ud800",
    ],
)
def test_what_is_no_day_is_refused(text: str) -> None:
    assert reader().days[text] == "day is not a calendar day written as YYYY-MM-DD"


@pytest.mark.parametrize(
    ("timestamp", "day"),
    [
        ("2026-01-31T23:30:00Z", date(2026, 2, 1)),
        ("2026-01-31t22:59:59z", date(2026, 1, 31)),
        ("2026-01-31 22:59:59.999999999Z", date(2026, 1, 31)),
        ("2026-02-01T08:00:00+14:00", date(2026, 1, 31)),
        ("2026-01-31T20:00:00.5-04:30", date(2026, 2, 1)),
        ("2024-12-31T22:59:60Z", date(2024, 12, 31)),
        ("2024-12-31T22:59:60.75+00:00", date(2024, 12, 31)),
        (1_769_900_399, date(2026, 1, 31)),
        (1_769_900_400, date(2026, 2, 1)),
        (1_769_900_399.999_999_8, date(2026, 1, 31)),
    ],
)
def test_a_timestamp_falls_on_its_day_in_the_zone(timestamp: str | float, day: date) -> None:
    assert reader("Europe/Berlin").of_timestamp(timestamp) == day.toordinal()


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "2026-01-31",
        "2026-01-31T10:00:00",
        "2026-01-31T10:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T10:60:00Z",
        "2026-01-31T10:00:61Z",
        "2026-01-31T10:00:00+24:00",
        "2026-01-31T10:00:00+01:60",
        "2026-01-31T10:00:00+0100",
        "2026-02-30T10:00:00Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+10:00",
        "9999-12-31T23:59:59-10:00",
        "1769900400",
        1_769_900_400_000,
        -(10**30),
        10**400,
        float("nan"),
        float("inf"),
        float("-inf"),
    ],
)
def test_what_is_no_time_is_refused(timestamp: str | float) -> None:
    assert reader().of_timestamp(timestamp) == (
        "ts is not a time with its offset (such as 2026-01-31T09:30:00Z) or seconds since 1970, "
        "in the years 1 to 9999"
    )


def test_a_time_before_1970_is_read_and_refused_as_too_old() -> None:
    assert reader().of_timestamp(-0.5) == (
        "day 1969-12-31 is older than what is kept (first accepted: 2024-01-01)"
    )
