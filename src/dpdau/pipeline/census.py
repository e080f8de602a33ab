"""Counting outside of the store: what is asked of it, and what it must answer with.

Formal guarantees:
    A series is private at its plan's price if the counted presence of each user over the whole
    period is a vector of the plan's presence set (`privacy.continual`). For a series without a
    limit that is every vector, so it is enough that a user adds at most one to a day. With a
    limit it must hold across all censuses of the period, however the events change in between:
    each starts from the limiter that the one before left, and the series takes its totals only
    if no other was recorded meanwhile.
"""

from dataclasses import dataclass
from typing import Protocol

from dpdau.model.calendar import Period
from dpdau.model.releases import SeriesKey

__all__ = ["Census", "Counted", "Span"]


@dataclass(frozen=True, slots=True)
class Span:
    """Days of a series whose users are to be counted.

    Attributes:
        series: which series.
        period: its days.
        first_row: the first day to count, from 0 for the period's first.
        last_row: the last day to count, not before the first.
        runs: how many runs of presence are counted per user and period; None for no limit.
        limiter: what the census of the days before left; None if there were none, or no limit.
    """

    series: SeriesKey
    period: Period
    first_row: int
    last_row: int
    runs: int | None
    limiter: bytes | None

    @property
    def first_day(self) -> int:
        """The ordinal of the first day to count."""
        return self.period.first.toordinal() + self.first_row

    @property
    def last_day(self) -> int:
        """The ordinal of the last day to count."""
        return self.period.first.toordinal() + self.last_row


@dataclass(frozen=True, slots=True)
class Counted:
    """What a census found; private.

    Attributes:
        users: how many users are counted on each day of the span (of the sample, if there is one).
        limiter: what the next census has to go on from; None if there is no limit.
    """

    users: tuple[int, ...]
    limiter: bytes | None


class Census(Protocol):
    """Counts the users of series from events that are not in the store."""

    def count(self, span: Span) -> Counted:
        """Count the users of each day of a span, within its limit."""
        ...
