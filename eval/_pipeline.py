"""The real product, living through a log of activity with a clock of its own."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap64

from _activity import Activity
from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.errors import BudgetExhaustedError
from dpdau.model.releases import Metric
from dpdau.store import MemoryStore
from replay import Clock, Published

__all__ = ["Truth", "live_through", "product"]

_DAY = timedelta(days=1)
# Keeps nothing: what it makes lives in memory only.
_SECRET = "a secret for evaluations"  # noqa: S105 - as said


@dataclass(slots=True)
class Truth:
    """Who is active by day, exactly; users are numbers as in `Activity`.

    Attributes:
        users: by day, as an ordinal.
        erased_on: by user, the day of their last erasure; what is dated before it does not count.
    """

    users: dict[int, BitMap64] = field(default_factory=lambda: defaultdict(BitMap64))
    erased_on: dict[int, int] = field(default_factory=dict)

    def apply(self, activity: Activity, where: slice) -> None:
        """Let events happen, in order of arrival."""
        users, days = activity.users[where], activity.days[where]
        last_erasure: dict[int, int] = {}
        for position in np.flatnonzero(activity.whole_user[where]).tolist():
            user = int(users[position])
            last_erasure[user] = position
            self.erased_on[user] = max(int(days[position]), self.erased_on.get(user, 0))
        if last_erasure:
            leaving = BitMap64(last_erasure)
            for day in self.users:
                self.users[day] -= leaving
        counts = ~activity.whole_user[where]
        for position in np.flatnonzero(np.isin(users, list(self.erased_on))).tolist():
            user = int(users[position])
            counts[position] &= position > last_erasure.get(user, -1)
            counts[position] &= days[position] >= self.erased_on[user]
        self._apply_days(users[counts], days[counts], activity.adds[where][counts])

    def count(self, day: date, window_days: int) -> int:
        """Distinct users of the window that ends on a day."""
        last = day.toordinal()
        window = (self.users[each] for each in range(last - window_days + 1, last + 1))
        return len(BitMap64.union(*window))

    def _apply_days(
        self, users: NDArray[np.int64], days: NDArray[np.int32], adds: NDArray[np.bool_]
    ) -> None:
        """Apply "+" and "-" of days; the last operation wins per user and day."""
        for day in np.unique(days).tolist():
            of_day = days == day
            # From the end, so that the first mention is the last operation.
            found, last = np.unique(users[of_day][::-1], return_index=True)
            joins = adds[of_day][::-1][last]
            self.users[day] |= BitMap64(found[joins].tolist())
            self.users[day] -= BitMap64(found[~joins].tolist())


def product(clock: Clock, settings: Mapping[str, Any]) -> Application:
    """A product on a store in memory, with settings by their names in small letters."""
    chosen = load_settings(**{"hash_salt_secret": _SECRET, **settings})
    return build(chosen, store=MemoryStore(), clock=clock)


def live_through(
    activity: Activity,
    settings: Mapping[str, Any],
    *,
    start: date,
    end: date,
    metrics: Sequence[Metric] = tuple(Metric),
) -> Iterator[Published]:
    """What the product publishes of the days from `start` to `end`, as they close.

    Whatever arrives before `start` is known when the first day closes. Where a budget is used up
    there is no value.

    Args:
        activity: what happens.
        settings: of the product, by their names in small letters.
        start: the first day to publish.
        end: the last day to publish.
        metrics: what to publish.
    """
    clock = Clock(datetime.combine(start, datetime.min.time(), UTC))
    truth = Truth()
    arrived = 0
    with product(clock, settings) as application:
        for offset in range((end - start).days + 1):
            day = start + offset * _DAY
            clock.now = application.calendar.closes_at(day)
            # Closing comes before what arrives on the day of closing.
            until = activity.arriving_on(application.calendar.today()).start
            news = slice(arrived, until)
            ingestor = application.ingestor
            ingestor.apply(ingestor.pseudonymize(activity.columns(news)))
            truth.apply(activity, news)
            arrived = until
            for metric in metrics:
                try:
                    release = application.publisher.release(metric, day)
                except BudgetExhaustedError:
                    continue
                yield Published(release, truth.count(day, release.window_days))
