"""The real product, living through a log of activity with a clock of its own."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from _activity import Activity
from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.errors import BudgetExhaustedError
from dpdau.model.releases import Metric
from dpdau.simulation import Truth
from dpdau.store import MemoryStore
from replay import Clock, Published

__all__ = ["live_through", "product"]

_DAY = timedelta(days=1)
# Keeps nothing: what it makes lives in memory only.
_SECRET = "a secret for evaluations"  # noqa: S105 - as said


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
            truth.apply(
                activity.users[news],
                activity.days[news],
                activity.adds[news],
                activity.whole_user[news],
            )
            arrived = until
            for metric in metrics:
                try:
                    release = application.publisher.release(metric, day)
                except BudgetExhaustedError:
                    continue
                yield Published(release, truth.count(day, release.window_days))
