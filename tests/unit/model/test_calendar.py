from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.errors import DayOpenError, InvalidValueError
from dpdau.model.calendar import Calendar, Period, PeriodKind, parse_day, utc_now
from support import FakeClock


def calendar(now: datetime, zone: str = "UTC", lateness_hours: int = 6) -> Calendar:
    return Calendar(
        ZoneInfo(zone), timedelta(hours=lateness_hours), 400, PeriodKind.MONTH, FakeClock(now)
    )


@given(st.dates(date(1, 2, 1), date(9999, 11, 30)), st.sampled_from(PeriodKind))
def test_a_period_contains_its_day_and_touches_its_neighbours(day: date, kind: PeriodKind) -> None:
    period = Period.containing(day, kind)
    assert period.first <= day <= period.last
    assert period.days == (period.last - period.first).days + 1
    assert 0 <= period.index_of(day) < period.days
    if period.last < date.max:
        following = Period.containing(period.last + timedelta(days=1), kind)
        assert following.first == period.last + timedelta(days=1)
        assert following != period


@given(st.dates(), st.sampled_from(PeriodKind))
def test_a_period_is_found_again_by_its_name(day: date, kind: PeriodKind) -> None:
    period = Period.containing(day, kind)
    assert Period.named(period.name) == period


@pytest.mark.parametrize(
    ("kind", "name", "days"),
    [(PeriodKind.MONTH, "2024-02", 29), (PeriodKind.QUARTER, "2024-Q1", 91), ("year", "2024", 366)],
)
def test_periods_are_named_as_people_name_them(kind: PeriodKind, name: str, days: int) -> None:
    period = Period.containing(date(2024, 2, 29), PeriodKind(kind))
    assert (period.name, period.days) == (name, days)


@pytest.mark.parametrize(
    "name",
    [
        *("2024-13", "2024-Q5", "24", "0000", "2024-1", "", "2024-02-01"),
        # Digits of other scripts.
        *(
            "\N{ARABIC-INDIC DIGIT ZERO}" * 4,
            "\N{FULLWIDTH DIGIT TWO}024-10",
            "2024-Q\N{SUPERSCRIPT TWO}",
        ),
    ],
)
def test_what_names_no_period_is_refused(name: str) -> None:
    with pytest.raises(InvalidValueError, match="2025-Q4"):
        Period.named(name)


def test_a_day_closes_after_its_local_end_and_the_lateness() -> None:
    day = date(2025, 10, 7)
    closes = datetime(2025, 10, 8, 4, tzinfo=UTC)  # midnight in Berlin is 22:00 UTC, plus 6 hours
    assert calendar(closes, "Europe/Berlin").closes_at(day) == closes
    assert calendar(closes, "Europe/Berlin").is_closed(day)
    before = calendar(closes - timedelta(seconds=1), "Europe/Berlin")
    assert not before.is_closed(day)
    with pytest.raises(DayOpenError, match=r"2025-10-07 is still open: it closes at .*06:00"):
        before.require_closed(day)


def test_a_day_with_a_change_of_clocks_closes_at_its_own_end() -> None:
    spring = calendar(datetime(2025, 4, 1, tzinfo=UTC), "Europe/Berlin", 0)
    assert spring.closes_at(date(2025, 3, 30)) == datetime(2025, 3, 30, 22, tzinfo=UTC)
    assert spring.closes_at(date(2025, 3, 29)) == datetime(2025, 3, 29, 23, tzinfo=UTC)


@given(st.integers(0, 800 * 24), st.integers(0, 100))
def test_the_last_closed_day_is_closed_and_the_next_is_not(hours: int, lateness: int) -> None:
    now = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
    here = calendar(now, "America/New_York", lateness)
    last = here.last_closed_day()
    assert here.is_closed(last)
    assert not here.is_closed(last + timedelta(days=1))
    here.require_closed(last)


def test_events_are_accepted_from_the_retention_to_tomorrow() -> None:
    here = calendar(datetime(2025, 11, 20, 23, 30, tzinfo=UTC), "Europe/Berlin")
    assert here.today() == date(2025, 11, 21)
    assert here.accepted_days() == (date(2025, 11, 21) - timedelta(days=400), date(2025, 11, 22))


@pytest.mark.parametrize(
    "text",
    ["2025-1-1", "20250101", "2025-02-29", "today", "", "2025-W01-1", "9991-01-01", "9999-12-31"],
)
def test_a_day_in_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidValueError, match="YYYY-MM-DD"):
        parse_day(text)


def test_every_day_that_can_be_read_has_an_end_and_a_period() -> None:
    here = calendar(datetime(2025, 11, 20, tzinfo=UTC), "Pacific/Kiritimati", lateness_hours=720)
    for text in ("0001-01-01", "9990-12-31"):
        day = parse_day(text)
        assert here.is_closed(day) == (day < here.today())
        assert Period.named(here.period_of(day).name) == here.period_of(day)


def test_a_day_is_read_as_written() -> None:
    assert parse_day("2025-10-07") == date(2025, 10, 7)


def test_the_system_clock_knows_its_zone() -> None:
    assert utc_now().tzinfo is UTC
