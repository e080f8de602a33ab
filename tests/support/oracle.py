"""The plainest possible model of the product: Python sets, one event at a time."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta


@dataclass(frozen=True)
class Event:
    user_id: str
    day: date
    add: bool = True
    whole_user: bool = False


@dataclass
class Oracle:
    """Who was active on which day, according to sets."""

    active: dict[date, set[str]] = field(default_factory=lambda: defaultdict(set))
    erased_on: dict[str, date] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        if event.whole_user and not event.add:
            self.erase(event.user_id, event.day)
        elif event.day < self.erased_on.get(event.user_id, date.min):
            return
        elif event.add:
            self.active[event.day].add(event.user_id)
        else:
            self.active[event.day].discard(event.user_id)

    def erase(self, user_id: str, day: date) -> None:
        for users in self.active.values():
            users.discard(user_id)
        self.erased_on[user_id] = max(day, self.erased_on.get(user_id, date.min))

    def present(self, day: date, window_days: int = 1) -> set[str]:
        window = (day - timedelta(days=offset) for offset in range(window_days))
        return set().union(*(self.active.get(each, set()) for each in window))
