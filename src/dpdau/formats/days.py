"""From what an event says about time to the ordinal of its day, or a reason to refuse it."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache

from dpdau.errors import InvalidValueError
from dpdau.formats.rules import EventRules
from dpdau.model.calendar import parse_day

__all__ = ["DayReader", "day_reader"]

# Those of today and, for requests that have begun, those of yesterday.
_REMEMBERED_RULES = 2

_EXPECTED_DAY = "a calendar day written as YYYY-MM-DD"
_EXPECTED_TIMESTAMP = (
    "a time with its offset (such as 2026-01-31T09:30:00Z) or seconds since 1970, "
    "in the years 1 to 9999"
)
# RFC 3339, section 5.6. Groups: a leap second and a fraction, which `fromisoformat` cannot take.
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|(60))(\.\d+)?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_SECOND = slice(17, 19)


class DayReader:
    """Maps days and timestamps to day ordinals under one set of rules.

    Attributes:
        days: for a day written as YYYY-MM-DD, its ordinal, or why there is none. Each accepted
            day is read once, when it is first looked up.
    """

    def __init__(self, rules: EventRules) -> None:
        self._timezone = rules.timezone
        self._first_day, self._last_day = rules.first_day, rules.last_day
        self._first = rules.first_day.toordinal()
        self._last = rules.last_day.toordinal()
        self.days: Mapping[str, int | str] = _Memory(self._of_day)

    def of_timestamp(self, timestamp: str | float) -> int | str:
        """The ordinal of the day on which a timestamp falls, or why there is none.

        Args:
            timestamp: text after RFC 3339, or seconds since 1970-01-01T00:00:00Z.
        """
        try:
            if isinstance(timestamp, str):
                moment = _rfc_3339(timestamp).astimezone(self._timezone)
            else:
                moment = datetime.fromtimestamp(math.floor(timestamp), self._timezone)
            return self._in_range(moment.toordinal())
        except (ValueError, OverflowError, OSError):
            return f"ts is not {_EXPECTED_TIMESTAMP}"

    def _of_day(self, text: str) -> int | str:
        try:
            return self._in_range(parse_day(text).toordinal())
        except InvalidValueError:
            return f"day is not {_EXPECTED_DAY}"

    def _in_range(self, ordinal: int) -> int | str:
        if self._first <= ordinal <= self._last:
            return ordinal
        day = datetime.fromordinal(ordinal).date()
        if ordinal > self._last:
            return f"day {day} is in the future (last accepted: {self._last_day})"
        return f"day {day} is older than what is kept (first accepted: {self._first_day})"


class _Memory(dict[str, int | str]):
    """Remembers the ordinals that a function returned, and not what it said of other texts.

    Those would be without number, whereas there is one way to write an accepted day.
    """

    def __init__(self, function: Callable[[str], int | str]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, text: str) -> int | str:
        result = self._function(text)
        if isinstance(result, int):
            self[text] = result
        return result


@lru_cache(maxsize=_REMEMBERED_RULES)
def day_reader(rules: EventRules) -> DayReader:
    """The reader for these rules, which keeps what it has read for the next batch."""
    return DayReader(rules)


def _rfc_3339(text: str) -> datetime:
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError
    if match.lastindex is not None:
        # A fraction does not change the day; a leap second is on the day of the second before.
        second = "59" if match[1] else text[_SECOND]
        offset = text[match.end(match.lastindex) :]
        text = text[: _SECOND.start] + second + offset
    return datetime.fromisoformat(text.upper())
