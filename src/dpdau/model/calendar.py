"""Days, accounting periods, and when a day closes.

A day is a calendar day in the configured time zone. Interfaces use `datetime.date`; columns and
stores use its proleptic Gregorian ordinal (`date.toordinal()`), a small integer.
"""

import calendar as gregorian
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from dpdau.errors import DayOpenError, InvalidValueError

__all__ = ["Calendar", "Period", "PeriodKind", "optional_day", "parse_day", "utc_now"]

_DECEMBER = 12
_MONTHS_IN_QUARTER = 3
# So that a day's end, its closing and the end of a range behind it are days too.
_LAST_YEAR = 9_990
_PERIOD_NAME = re.compile(
    r"(?P<year>\d{4})(-(?P<month>0[1-9]|1[0-2])|-Q(?P<quarter>[1-4]))?", re.ASCII
)


class PeriodKind(StrEnum):
    """How long an accounting period is."""

    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True)
class Period:
    """An accounting period: the days over which one budget holds.

    Attributes:
        name: `2025-10`, `2025-Q4` or `2025`.
        first: its first day.
        last: its last day, included.
    """

    name: str
    first: date
    last: date

    @classmethod
    def containing(cls, day: date, kind: PeriodKind) -> "Period":
        """The period of that kind that a day lies in."""
        if kind is PeriodKind.YEAR:
            return cls(f"{day.year:04}", date(day.year, 1, 1), date(day.year, _DECEMBER, 31))
        if kind is PeriodKind.QUARTER:
            quarter = (day.month - 1) // _MONTHS_IN_QUARTER
            last_month = _MONTHS_IN_QUARTER * quarter + _MONTHS_IN_QUARTER
            name = f"{day.year:04}-Q{quarter + 1}"
            return cls(name, date(day.year, last_month - 2, 1), _month_end(day.year, last_month))
        return cls(
            f"{day.year:04}-{day.month:02}", day.replace(day=1), _month_end(day.year, day.month)
        )

    @classmethod
    def named(cls, name: str) -> "Period":
        """The period with that name.

        Raises:
            InvalidValueError: if the name is none.
        """
        match = _PERIOD_NAME.fullmatch(name)
        if match is None or match["year"] == "0000":
            raise InvalidValueError("period", name, "2025-10, 2025-Q4 or 2025")
        year = int(match["year"])
        if match["quarter"]:
            month = _MONTHS_IN_QUARTER * int(match["quarter"])
            return cls.containing(date(year, month, 1), PeriodKind.QUARTER)
        if match["month"]:
            return cls.containing(date(year, int(match["month"]), 1), PeriodKind.MONTH)
        return cls.containing(date(year, 1, 1), PeriodKind.YEAR)

    @property
    def days(self) -> int:
        """T, the number of days in the period."""
        return (self.last - self.first).days + 1

    def index_of(self, day: date) -> int:
        """The position of a day in the period, counted from 0."""
        return (day - self.first).days


@dataclass(frozen=True, slots=True)
class Calendar:
    """What time it is, and what follows from it.

    Everything here depends on the clock and the configuration only, never on activity data, so
    decisions built on it reveal nothing.

    Attributes:
        timezone: the zone whose midnights separate days.
        lateness: how long after its end a day stays open for late events.
        retention_days: days older than this many before today are not accepted.
        period_kind: the length of an accounting period.
        clock: gives the current time, zone-aware.
    """

    timezone: ZoneInfo
    lateness: timedelta
    retention_days: int
    period_kind: PeriodKind
    clock: Callable[[], datetime]

    def now(self) -> datetime:
        """The current time, in UTC."""
        return self.clock().astimezone(UTC)

    def today(self) -> date:
        """The current day in the configured zone."""
        return self.day_of(self.clock())

    def day_of(self, moment: datetime) -> date:
        """The day that a moment lies in, in the configured zone."""
        return moment.astimezone(self.timezone).date()

    def accepted_days(self) -> tuple[date, date]:
        """The first and last day that an event may carry: retention to tomorrow."""
        today = self.today()
        first = max(today.toordinal() - self.retention_days, 1)
        return date.fromordinal(first), today + timedelta(days=1)

    def closes_at(self, day: date) -> datetime:
        """When a day closes: the end of the day plus the lateness."""
        midnight = datetime.combine(day + timedelta(days=1), datetime.min.time(), self.timezone)
        return midnight.astimezone(UTC) + self.lateness

    def is_closed(self, day: date) -> bool:
        """Whether a day has closed, so that its value may be released."""
        return self.closes_at(day) <= self.now()

    def last_closed_day(self) -> date:
        """The newest day that has closed."""
        day = self.today()
        while not self.is_closed(day):
            day -= timedelta(days=1)
        return day

    def require_closed(self, day: date) -> None:
        """Pass if the day has closed.

        Raises:
            DayOpenError: if it has not.
        """
        if not self.is_closed(day):
            local = self.closes_at(day).astimezone(self.timezone)
            raise DayOpenError(day, local.isoformat(timespec="minutes"))

    def period_of(self, day: date) -> Period:
        """The accounting period that a day lies in."""
        return Period.containing(day, self.period_kind)


def parse_day(text: str, parameter: str = "day") -> date:
    """Read a day written as `YYYY-MM-DD`.

    Raises:
        InvalidValueError: if the text is anything else.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text or day.year > _LAST_YEAR:
        expected = f"a calendar day written as YYYY-MM-DD, up to the year {_LAST_YEAR}"
        raise InvalidValueError(parameter, text, expected)
    return day


def optional_day(text: str | None, parameter: str) -> date | None:
    """Read a day that may be left out.

    Raises:
        InvalidValueError: if the text is no day.
    """
    return None if text is None else parse_day(text, parameter)


def utc_now() -> datetime:
    """The system's clock."""
    return datetime.now(UTC)


def _month_end(year: int, month: int) -> date:
    return date(year, month, gregorian.monthrange(year, month)[1])
