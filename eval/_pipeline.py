"""The real product, living through a log of activity with a clock of its own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pyroaring import BitMap

import _tools  # noqa: F401 - finds the next one
from _activity import Activity
from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.errors import BudgetExhaustedError
from dpdau.model.calendar import Period
from dpdau.model.releases import Mechanism, Metric, Release
from dpdau.privacy.flippancy import LimiterState
from dpdau.simulation import Truth
from dpdau.store import MemoryStore
from replay import Clock, Published

__all__ = ["Lived", "live_through", "product"]

_DAY = timedelta(days=1)
# Keeps nothing: what it makes lives in memory only.
_SECRET = "a secret for evaluations"  # noqa: S105 - as said


@dataclass(frozen=True, slots=True)
class Lived(Published):
    """A release, and where it parts from the truth.

    Attributes:
        stored_count: what the sketch makes of those present, before limiter and noise.
        counted: what noise is added to: without those whom the limiter leaves out.
        epsilon_spent: of the period's budget by then, at the enforced δ.
        epsilon_cap: that budget.
    """

    stored_count: int
    counted: int
    epsilon_spent: float
    epsilon_cap: float


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
) -> Iterator[Lived]:
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
    truth, limits = Truth(), _Limits()
    arrived = 0
    with product(clock, settings) as application:
        for offset in range((end - start).days + 1):
            day = start + offset * _DAY
            clock.now = application.calendar.closes_at(day)
            # Closing comes before what arrives on the day of closing.
            until = activity.arriving_on(application.calendar.today()).start
            _ingest(application, truth, activity, slice(arrived, until))
            arrived = until
            for metric in metrics:
                try:
                    release = application.publisher.release(metric, day)
                except BudgetExhaustedError:
                    continue
                ordinal, per_stored = day.toordinal(), 2**application.sampling_exponent
                with application.store.read() as reader:
                    present = reader.members(ordinal - release.window_days + 1, ordinal)
                    budget = application.budget.statement(
                        reader, metric, Period.named(release.period)
                    )
                dropped = limits.dropped(application, release, present)
                yield Lived(
                    release=release,
                    true_count=truth.count(day, release.window_days),
                    stored_count=per_stored * len(present),
                    counted=per_stored * (len(present) - dropped),
                    epsilon_spent=budget.epsilon_spent,
                    epsilon_cap=budget.cap,
                )


def _ingest(application: Application, truth: Truth, activity: Activity, news: slice) -> None:
    application.ingestor.apply(application.ingestor.pseudonymize(activity.columns(news)))
    truth.apply(
        activity.users[news],
        activity.days[news],
        activity.adds[news],
        activity.whole_user[news],
    )


class _Limits:
    """The limiter's side of each series, which the product keeps to itself."""

    def __init__(self) -> None:
        self._states: dict[tuple[Metric, str], LimiterState] = {}

    def dropped(self, application: Application, release: Release, present: BitMap) -> int:
        """How many who are present are not counted."""
        if release.mechanism is not Mechanism.CONTINUAL:
            return 0
        runs = application.plan(release.metric, release.period).presence.runs
        if runs is None:
            return 0
        series = release.metric, release.period
        advance = self._states.get(series, LimiterState.empty(runs)).advance(present)
        self._states[series] = advance.state
        return advance.dropped
