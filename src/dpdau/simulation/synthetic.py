"""Made-up activity to try the product with: people of different habits, some of whom leave."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.random import Generator, default_rng  # noqa: TID251 - made-up events, no noise
from numpy.typing import NDArray

from dpdau.errors import InvalidValueError
from dpdau.simulation.arrivals import Arrivals

__all__ = ["SyntheticActivity"]

_USERS_PER_DAILY_USER = 4
# Beta(0.5, 1.5) has the mean 1/4 that the line above needs, most people near 0 and some near 1.
_HABIT = (0.5, 1.5)


@dataclass(frozen=True, slots=True)
class SyntheticActivity:
    """A reproducible stream of events.

    Every person is active on each day with a probability of their own, a quarter on average. A
    share of the people who appear before the last day asks to be erased on a later day.

    Attributes:
        days: how many days.
        daily_users: how many people are active on an average day, before anyone is erased.
        delete_rate: the share, 0 to 1, of those people who are erased.
        end: the last day.
        seed: the same seed gives the same events.

    Raises:
        InvalidValueError: if an attribute is out of its range.
    """

    days: int
    daily_users: int
    delete_rate: float
    end: date
    seed: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 1 <= self.days < self.end.toordinal():
            raise InvalidValueError("--days", self.days, f"from 1 to {self.end.toordinal() - 1:,}")
        if self.daily_users < 1:
            raise InvalidValueError("--daily-users", self.daily_users, "at least 1")
        if not 0 <= self.delete_rate <= 1:
            raise InvalidValueError("--delete-rate", self.delete_rate, "a share from 0 to 1")

    def arrivals(self) -> Iterator[Arrivals]:
        """The events of every day, which arrive on it; erasures close their day."""
        # Streams of their own, so that the rate of erasures does not change who is active.
        activity_source, erasure_source = default_rng(self.seed).spawn(2)
        active = self._activity(activity_source)
        erased_on = self._erasures(active, erasure_source)
        first = self.end.toordinal() - self.days + 1
        for offset in range(self.days):
            users = np.flatnonzero(active[offset] & (erased_on >= offset))
            leaving = np.flatnonzero(erased_on == offset)
            adds = np.repeat([True, False], [len(users), len(leaving)])
            yield Arrivals(
                day=first + offset,
                users=np.concatenate([users, leaving]),
                days=np.full(len(adds), first + offset, dtype=np.int32),
                adds=adds,
                whole_user=~adds,
            )

    def _activity(self, source: Generator) -> NDArray[np.bool_]:
        """Who is active on each day: days by people."""
        people = _USERS_PER_DAILY_USER * self.daily_users
        habits = source.beta(*_HABIT, size=people)
        return np.array([source.random(people) < habits for _ in range(self.days)])

    def _erasures(self, active: NDArray[np.bool_], source: Generator) -> NDArray[np.int64]:
        """The offset of everyone's day of erasure; past the end for who is never erased."""
        erased_on = np.full(active.shape[1], self.days)
        before_the_last = active[:-1]
        seen = np.flatnonzero(before_the_last.any(axis=0))
        first_seen = before_the_last[:, seen].argmax(axis=0) if len(before_the_last) else seen
        chosen = source.permutation(len(seen))[: round(self.delete_rate * len(seen))]
        erased_on[seen[chosen]] = source.integers(first_seen[chosen] + 1, self.days)
        return erased_on
