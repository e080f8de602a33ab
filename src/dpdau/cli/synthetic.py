"""Made-up activity to try the product with: people of different habits, some of whom leave."""

import random  # noqa: TID251 - synthetic events carry no privacy
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from dpdau.errors import InvalidValueError

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

    def events(self) -> Iterator[dict[str, Any]]:
        """The events as JSON objects, day by day; erasures close their day."""
        activity = self._activity()
        erased_on = self._erasures(activity)
        leaving: dict[int, list[int]] = {}
        for user, offset in erased_on.items():
            leaving.setdefault(offset, []).append(user)
        for offset, users in enumerate(activity):
            day = (self.end - timedelta(days=self.days - 1 - offset)).isoformat()
            for user in users:
                if offset <= erased_on.get(user, self.days):
                    yield {"user_id": _name(user), "op": "+", "day": day}
            for user in leaving.get(offset, []):
                yield {"user_id": _name(user), "op": "-", "scope": "user", "day": day}

    def _activity(self) -> list[list[int]]:
        """The users active on each day."""
        source = self._source("activity")
        population = range(_USERS_PER_DAILY_USER * self.daily_users)
        habits = [source.betavariate(*_HABIT) for _ in population]
        return [
            [user for user in population if source.random() < habits[user]]
            for _ in range(self.days)
        ]

    def _erasures(self, activity: list[list[int]]) -> dict[int, int]:
        """The offset of the day of erasure of everyone who is erased."""
        source = self._source("erasures")
        first_seen: dict[int, int] = {}
        for offset, users in enumerate(activity[:-1]):
            for user in users:
                first_seen.setdefault(user, offset)
        chosen = source.sample(sorted(first_seen), round(self.delete_rate * len(first_seen)))
        return {user: source.randint(first_seen[user] + 1, self.days - 1) for user in chosen}

    def _source(self, purpose: str) -> random.Random:
        return random.Random(f"{purpose} {self.seed}")  # noqa: S311 - synthetic events carry no privacy


def _name(user: int) -> str:
    return f"user-{user:06}"
