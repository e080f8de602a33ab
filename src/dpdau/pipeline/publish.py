"""Publishing: which releases exist, which may be made, and in what order.

Whether a value is released follows from the question, the calendar and the ledger alone.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dpdau.errors import (
    BudgetExhaustedError,
    DayOutOfRangeError,
    InvalidValueError,
    ReleaseNotFoundError,
)
from dpdau.model.calendar import Calendar, Period
from dpdau.model.releases import Mechanism, Metric, Release, ReleaseKey
from dpdau.model.sources import ActivitySource
from dpdau.pipeline.budget import Budget
from dpdau.pipeline.census import Census
from dpdau.pipeline.guard import LedgerGuard
from dpdau.pipeline.leaps import LeapGuard
from dpdau.pipeline.ledger import latest_release
from dpdau.pipeline.ondemand import Kept, OnDemandReleaser
from dpdau.pipeline.ports import Store
from dpdau.pipeline.rules import MetricRules
from dpdau.pipeline.series import SeriesPublisher, require_counter
from dpdau.pipeline.source import source_of
from dpdau.privacy.strategy import Plan

__all__ = ["CREATED_ON", "Due", "Publisher", "SeriesAnswer"]

CREATED_ON = "created_on"
_MAX_SERIES_DAYS = 1_100


@dataclass(frozen=True, slots=True)
class SeriesAnswer:
    """The values of a range of days.

    Attributes:
        metric: what was asked for.
        window_days: the trailing days counted.
        releases: the values that exist, in day order.
        unpublished: the days of the range that have none.
    """

    metric: Metric
    window_days: int
    releases: list[Release]
    unpublished: list[date]


@dataclass(frozen=True, slots=True)
class Due:
    """Closed days of continual series that have not been published.

    Attributes:
        days: how many, of all metrics.
        since: when the oldest of them closed, in UTC; None if there is none.
    """

    days: int
    since: datetime | None


class Publisher:
    """Answers questions about days, publishing what has to be published first."""

    def __init__(
        self,
        store: Store,
        calendar: Calendar,
        budget: Budget,
        rules: Mapping[Metric, MetricRules],
        guard: LedgerGuard,
        *,
        leaps: LeapGuard,
    ) -> None:
        self._store = store
        self._calendar = calendar
        self._rules = rules
        self._guard = guard
        self._leaps = leaps
        self._on_demand = OnDemandReleaser(guard, calendar, budget)
        self._series = SeriesPublisher(store, calendar, budget, guard)

    def release(self, metric: Metric, day: date, window_days: int | None = None) -> Release:
        """The value of a closed day: the newest recorded one, or a new one.

        Args:
            metric: what is counted.
            day: the last day of the window.
            window_days: the trailing days counted; by default those of the metric's series.

        Raises:
            InvalidValueError: if the window is none that can be counted.
            ClockLeaptError: if the clock cannot be believed.
            DayOpenError: if the day has not closed.
            DayOutOfRangeError: if its data may already have been dropped.
            BudgetExhaustedError: if the budget has no room; nothing is spent.
        """
        rules = self._rules[metric]
        window_days = self._window(rules, window_days)
        key = ReleaseKey(metric, window_days, day)
        recorded = self._recorded(key)
        if recorded is not None:
            self._guard.cover()
            return recorded
        self._leaps.require_steady()
        self._calendar.require_closed(day)
        if self._in_series(rules, window_days):
            self._require_retained(self._calendar.period_of(day).first, window_days)
            deque(self._series.publish(rules, day), maxlen=0)
            published = self._recorded(key)
            if published is None:
                self._series.require_open(rules, day)
                raise ReleaseNotFoundError(key.release_id)
            return published
        self._require_retained(day, window_days)
        return self._on_demand.release(rules, day, window_days, self._kept(rules, day))

    def revise(self, metric: Metric, day: date, window_days: int | None = None) -> Release:
        """Measure a released day again on what is known now, at the price of one release.

        Raises:
            ReleaseNotFoundError: if the day was never released.
            BudgetExhaustedError: if the budget has no room; nothing is spent.
        """
        rules = self._rules[metric]
        window_days = self._window(rules, window_days)
        key = ReleaseKey(metric, window_days, day)
        if self._recorded(key) is None:
            raise ReleaseNotFoundError(key.release_id)
        self._require_retained(day, window_days)
        return self._on_demand.revise(rules, day, window_days, self._kept(rules, day))

    def series(
        self,
        metric: Metric,
        start: date,
        end: date,
        window_days: int | None = None,
        *,
        publish: bool = True,
    ) -> SeriesAnswer:
        """The values of a range of days, publishing closed days of a continual series.

        Under per-release mechanisms nothing new is released, so that a look at a range does
        not drain the budget: ask for each day.

        Args:
            metric: what is counted.
            start: the first day.
            end: the last day.
            window_days: the trailing days counted; by default those of the metric's series.
            publish: False for a mere look, which opens no period and releases nothing.

        Raises:
            InvalidValueError: if the range is empty, too long, or the window cannot be counted.
        """
        rules = self._rules[metric]
        window_days = self._window(rules, window_days)
        if not start <= end <= start + timedelta(days=_MAX_SERIES_DAYS):
            expected = f"a day from {start} on, at most {_MAX_SERIES_DAYS:,} days later"
            raise InvalidValueError("end", end.isoformat(), expected)
        is_due = publish and self._leaps.is_steady and self._in_series(rules, window_days)
        if is_due and self.is_counted_here:
            deque(self._publish_range(rules, start, end), maxlen=0)
        days = [start + timedelta(days=offset) for offset in range((end - start).days + 1)]
        with self._store.read() as reader:
            found = {
                day: latest_release(reader, ReleaseKey(metric, window_days, day)) for day in days
            }
        self._guard.cover()
        return SeriesAnswer(
            metric=metric,
            window_days=window_days,
            releases=[release for release in found.values() if release is not None],
            unpublished=[day for day, release in found.items() if release is None],
        )

    @property
    def is_counted_here(self) -> bool:
        """Whether values are counted from the store's own activity."""
        with self._store.read() as reader:
            return source_of(reader) is ActivitySource.STORE

    def publish_through(
        self,
        end: date,
        start: date | None = None,
        metrics: Iterable[Metric] = Metric,
        census: Census | None = None,
    ) -> Iterator[Release]:
        """Publish every closed day that is due, oldest first, metric by metric.

        Args:
            end: the newest day to publish; days that are still open are left for later.
            start: the oldest day to publish; by default what is due: periods that have begun
                to be published, and all since the store was made.
            metrics: which ones.
            census: who counts the users, if the store does not.

        Yields:
            Each new release, already durable. Metrics that are released per release are
            published only if `start` is given, since each day costs budget.

        Raises:
            ClockLeaptError: if the clock cannot be believed.
            BudgetExhaustedError: if a metric's budget has no room, once all others have been
                published; what was yielded before stands.
            CountedElsewhereError: if it is not for this census, or its absence, to count.
            SeriesMovedError: if another census was recorded while this one counted.
        """
        with self._store.read() as reader:
            require_counter(reader, census)
        self._leaps.require_steady()
        end = min(end, self._calendar.last_closed_day())
        if start is not None:
            # Earlier days cannot be measured any more, and there may be very many of them.
            start = max(start, self._calendar.accepted_days()[0])
        refusal: BudgetExhaustedError | None = None
        for rules in map(self._rules.__getitem__, metrics):
            try:
                yield from self._publish_metric(rules, start, end, census)
            except BudgetExhaustedError as error:
                refusal = refusal or error
        if refusal is not None:
            raise refusal

    def due(self) -> Due:
        """What has closed and not been published yet."""
        end = self._calendar.last_closed_day()
        oldest: list[date] = []
        days = 0
        for rules in self._rules.values():
            if rules.mechanism is Mechanism.CONTINUAL:
                for period, published in self._due_periods(rules, end).items():
                    missing = period.index_of(min(end, period.last)) + 1 - published
                    if missing > 0:
                        days += missing
                        oldest.append(period.first + timedelta(days=published))
        return Due(days, self._calendar.closes_at(min(oldest)) if oldest else None)

    def plan(self, metric: Metric, day: date) -> Plan:
        """The plan of the period that a day lies in: recorded, or as it would be recorded."""
        rules = self._rules[metric]
        return self._series.plan_for(rules, self._calendar.period_of(day))

    def _kept(self, rules: MetricRules, day: date) -> Kept | None:
        """What the period's series has to find left, if there still can be one."""
        if rules.mechanism is not Mechanism.CONTINUAL:
            return None
        period = self._calendar.period_of(day)
        if not self._is_retained(period.first, rules.window_days):
            return None
        return self._series.kept(rules, period)

    def _recorded(self, key: ReleaseKey) -> Release | None:
        with self._store.read() as reader:
            return latest_release(reader, key)

    def _publish_metric(
        self, rules: MetricRules, start: date | None, end: date, census: Census | None
    ) -> Iterator[Release]:
        if rules.mechanism is Mechanism.CONTINUAL:
            if start is None:
                return self._publish_due(rules, end, census)
            return self._publish_range(rules, start, end, census)
        return iter(()) if start is None else self._publish_days(rules, start, end)

    def _publish_due(
        self, rules: MetricRules, end: date, census: Census | None
    ) -> Iterator[Release]:
        for period in self._due_periods(rules, end):
            yield from self._series.publish(rules, min(end, period.last), census)

    def _publish_range(
        self, rules: MetricRules, start: date, end: date, census: Census | None = None
    ) -> Iterator[Release]:
        end = min(end, self._calendar.last_closed_day())
        for period in self._periods(start, end):
            if self._is_retained(period.first, rules.window_days):
                yield from self._series.publish(rules, min(end, period.last), census)

    def _publish_days(self, rules: MetricRules, start: date, end: date) -> Iterator[Release]:
        for offset in range((end - start).days + 1):
            key = ReleaseKey(rules.metric, rules.window_days, start + timedelta(days=offset))
            if self._recorded(key) is None and self._is_retained(key.day, rules.window_days):
                yield self._on_demand.release(rules, key.day, rules.window_days)

    def _due_periods(self, rules: MetricRules, end: date) -> dict[Period, int]:
        """Periods that begin up to a day and have rows to publish, oldest first, with their rows.

        These are the opened ones that are incomplete and, once the day on which the store was
        made has closed, all from that day's period on. Until then a new store can be filled
        with past activity before anything is published for good.
        """
        due: dict[Period, int] = {}
        with self._store.read() as reader:
            running = {
                key.period
                for key in reader.series_keys()
                if key.metric is rules.metric and key.window_days == rules.window_days
            }
            created_on = date.fromisoformat(reader.meta(CREATED_ON) or date.max.isoformat())
            # One that begins later has nothing to publish up to that day, nor after the clock went back.
            candidates = {period for period in map(Period.named, running) if period.first <= end}
            if end >= created_on:
                first = self._calendar.period_of(created_on).first
                candidates.update(self._periods(first, end))
            for period in sorted(candidates, key=lambda period: period.first):
                published = self._series.published_rows(reader, rules, period)
                if published < period.days and self._is_retained(period.first, rules.window_days):
                    due[period] = published
        return due

    def _periods(self, start: date, end: date) -> list[Period]:
        periods = []
        while start <= end:
            period = self._calendar.period_of(start)
            periods.append(period)
            start = period.last + timedelta(days=1)
        return periods

    def _in_series(self, rules: MetricRules, window_days: int) -> bool:
        return rules.mechanism is Mechanism.CONTINUAL and window_days == rules.window_days

    def _window(self, rules: MetricRules, window_days: int | None) -> int:
        if window_days is None:
            return rules.window_days
        longest = 1 if rules.metric is Metric.DAU else self._calendar.retention_days
        if not 1 <= window_days <= longest:
            raise InvalidValueError("window", window_days, f"a number of days from 1 to {longest}")
        return window_days

    def _is_retained(self, first_day: date, window_days: int) -> bool:
        first_accepted, _ = self._calendar.accepted_days()
        return first_day.toordinal() - window_days + 1 >= first_accepted.toordinal()

    def _require_retained(self, first_day: date, window_days: int) -> None:
        if not self._is_retained(first_day, window_days):
            first_accepted, _ = self._calendar.accepted_days()
            raise DayOutOfRangeError(
                first_day,
                f"its window of {window_days} days begins before {first_accepted}, and older "
                "activity is no longer kept (RETENTION_DAYS)",
            )
