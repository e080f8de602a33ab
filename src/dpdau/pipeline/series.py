"""Continual series: one row of the period's strategy for every day that closes.

Formal guarantees:
    Unit: one user's whole stream in the period. Neighbours: add or remove it. The rows of one
    period are the matrix mechanism of `privacy.continual`, whose charge is taken whole when the
    period's plan is recorded, before its first row is measured. The plan depends on the
    configuration and the length of the period only. Each row is measured exactly once: it is
    appended to the ledger in the transaction that measures it, under a name that the ledger
    holds at most once. A crash before the commit leaves no row and reveals nothing; the next
    attempt draws fresh noise. Who is counted follows from the store in that very transaction, or
    from a census (`pipeline.census`) that began where the series still stands when its totals are
    recorded, all of them in one transaction together with the limiter that belongs to them.
"""

import math
from collections.abc import Iterator
from datetime import date, timedelta

from pyroaring import BitMap

from dpdau.errors import SeriesMovedError, StoreError
from dpdau.model.calendar import Calendar, Period
from dpdau.model.counting import CountVariance
from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Mechanism, Release, ReleaseKey, SeriesKey
from dpdau.model.sources import ActivitySource
from dpdau.pipeline.budget import Budget
from dpdau.pipeline.census import Census, Span
from dpdau.pipeline.count import present_users, sketch_of
from dpdau.pipeline.guard import LedgerGuard
from dpdau.pipeline.ledger import append_release, append_row, release_of
from dpdau.pipeline.ondemand import Kept
from dpdau.pipeline.ports import Reader, SeriesState, Store, Transaction
from dpdau.pipeline.recovery import Closures
from dpdau.pipeline.rules import MetricRules
from dpdau.pipeline.source import require_source
from dpdau.privacy.charges import GaussianCharge
from dpdau.privacy.continual import Estimate, estimate_row, measure_row
from dpdau.privacy.flippancy import LimiterState
from dpdau.privacy.intervals import interval
from dpdau.privacy.strategy import Plan, Presence, make_plan

__all__ = ["SeriesPublisher", "require_counter"]

_NOTHING = SeriesState((), None)
_BY_SPARK_ONLY = "no day is counted here: `dpdau spark publish` publishes"
_NOT_BY_SPARK = "Spark publishes nothing here: `dpdau publish` does, or `dpdau serve` by itself"


class SeriesPublisher:
    """Publishes the rows of continual series, in order, each exactly once."""

    def __init__(
        self, store: Store, calendar: Calendar, budget: Budget, guard: LedgerGuard
    ) -> None:
        self._store = store
        self._guard = guard
        self._calendar = calendar
        self._budget = budget
        # Recorded plans never change, and are some hundred kilobytes to decode.
        self._plans: dict[SeriesKey, Plan] = {}

    def publish(
        self, rules: MetricRules, through: date, census: Census | None = None
    ) -> Iterator[Release]:
        """Publish the missing rows of one period up to a closed day, oldest first.

        Each row is durable when it is yielded.

        Args:
            rules: of the metric.
            through: the last day to publish.
            census: who counts the users of all missing rows, if the store does not.

        Raises:
            DayOpenError: if the day has not closed.
            BudgetExhaustedError: if the period has no plan yet and its budget has no room for
                one.
            CountedElsewhereError: if it is not for this census, or its absence, to count.
            SeriesMovedError: if another census was recorded while this one counted.
        """
        self._calendar.require_closed(through)
        period = self._calendar.period_of(through)
        last_row = period.index_of(through)
        with self._store.read() as reader:
            if self.published_rows(reader, rules, period) > last_row:
                return
            require_counter(reader, census)
            state = reader.series_state(_series_key(rules, period)) or _NOTHING
        # Designed outside of the transaction: it may take seconds, and depends on no data.
        plan = self.plan_for(rules, period)
        if census is not None:
            span = Span(
                series=_series_key(rules, period),
                period=period,
                first_row=len(state.totals),
                last_row=last_row,
                runs=plan.presence.runs,
                limiter=state.limiter,
            )
            yield from self._record_all(rules, plan, span, state, census)
            return
        while True:
            with self._guard.write() as transaction:
                if self.published_rows(transaction, rules, period) > last_row:
                    return
                require_counter(transaction, census)
                release = self._publish_row(transaction, rules, period, plan)
            yield release

    def published_rows(self, reader: Reader, rules: MetricRules, period: Period) -> int:
        """How many rows of a period's series have been measured; all, once it was ended."""
        series = _series_key(rules, period)
        if Closures.of(reader, series.metric).row_of(period, series.series_id) is not None:
            return period.days
        state = reader.series_state(series)
        if state is not None:
            return len(state.totals)
        # Without private state, an opened series is complete.
        return 0 if self._recorded_plan(reader, series) is None else period.days

    def require_open(self, rules: MetricRules, day: date) -> None:
        """Pass if a day's series was not ended by an acknowledgement.

        Raises:
            DayOutOfRangeError: naming the row that ended it.
        """
        period = self._calendar.period_of(day)
        with self._store.read() as reader:
            closures = Closures.of(reader, rules.metric)
        closures.require_open(day, period, _series_key(rules, period).series_id)

    def plan_for(self, rules: MetricRules, period: Period) -> Plan:
        """The period's recorded plan, or the one that would be recorded now."""
        with self._store.read() as reader:
            recorded = self._recorded_plan(reader, _series_key(rules, period))
        if recorded is not None:
            return recorded
        presence = Presence.of(period.days, rules.presence_runs)
        return make_plan(
            period.days,
            presence,
            rules.series_epsilon,
            rules.delta,
            sensitivity=2**rules.counting.exponent,
        )

    def kept(self, rules: MetricRules, period: Period) -> Kept | None:
        """What others have to leave of the period's budget; None if the series was ended."""
        series_id = _series_key(rules, period).series_id
        with self._store.read() as reader:
            if Closures.of(reader, rules.metric).row_of(period, series_id) is not None:
                return None
        return Kept(series_id, _charge(self.plan_for(rules, period)))

    def _recorded_plan(self, reader: Reader, series: SeriesKey) -> Plan | None:
        """The plan that a series was opened with, or None if it was not opened."""
        if series not in self._plans:
            row = reader.ledger_row(LedgerKind.SERIES, series.series_id)
            if row is None:
                return None
            self._plans[series] = Plan.from_dict(row.body)
        return self._plans[series]

    def _publish_row(
        self, transaction: Transaction, rules: MetricRules, period: Period, plan: Plan
    ) -> Release:
        """Count the next day and record its row, all in the open transaction."""
        series = _series_key(rules, period)
        plan = self._open(transaction, series, period, plan)
        state = transaction.series_state(series) or _NOTHING
        day = period.first + timedelta(days=len(state.totals))
        present = present_users(transaction, day, rules.window_days)
        counted, limiter = _limited(plan, state, present)
        total = sketch_of(rules.counting, counted).estimate()
        return self._record(
            transaction, rules, period, plan, SeriesState((*state.totals, total), limiter)
        )

    def _record_all(
        self, rules: MetricRules, plan: Plan, span: Span, state: SeriesState, census: Census
    ) -> list[Release]:
        """Let a census count, and record all rows in one transaction."""
        counted = census.count(span)
        rows = range(span.first_row, span.last_row + 1)
        releases = []
        with self._guard.write() as transaction:
            require_counter(transaction, census)
            found = self.published_rows(transaction, rules, span.period)
            kept = transaction.series_state(span.series) or _NOTHING
            if (found, kept) != (span.first_row, state):
                raise SeriesMovedError(span.series.series_id)
            plan = self._open(transaction, span.series, span.period, plan)
            for _, users in zip(rows, counted.users, strict=True):
                totals = (*state.totals, users * 2**rules.counting.exponent)
                state = SeriesState(totals, counted.limiter)
                releases.append(self._record(transaction, rules, span.period, plan, state))
        return releases

    def _record(
        self,
        transaction: Transaction,
        rules: MetricRules,
        period: Period,
        plan: Plan,
        state: SeriesState,
    ) -> Release:
        """Measure the newest total of a state and record its row, in the open transaction."""
        series = _series_key(rules, period)
        row = len(state.totals) - 1
        measurements = _measurements(transaction, series, plan)
        if len(measurements) != row:
            raise StoreError(
                f"The private state of series {series.series_id} has {row} rows and the ledger "
                f"{len(measurements)}. The store was changed by hand or mixes two backups: "
                "restore one whole backup."
            )
        key = ReleaseKey(rules.metric, rules.window_days, period.first + timedelta(days=row))
        measurement = measure_row(plan, state.totals)
        release = self._release(rules, period, plan, key, [*measurements, measurement])
        append_release(transaction, release)
        if row + 1 == period.days:
            transaction.drop_series_state(series)
        else:
            transaction.put_series_state(series, state)
        return release

    def _open(
        self, transaction: Transaction, series: SeriesKey, period: Period, plan: Plan
    ) -> Plan:
        """The series' recorded plan; records and charges this one if there is none."""
        recorded = self._recorded_plan(transaction, series)
        if recorded is not None:
            return recorded
        charge = _charge(plan)
        cap = self._budget.require(transaction, series.metric, period, charge)
        append_row(
            transaction,
            kind=LedgerKind.SERIES,
            metric=series.metric,
            period=series.period,
            subject=series.series_id,
            recorded_at=self._calendar.now(),
            charge=charge.to_dict(),
            body={**plan.to_dict(), "epsilon_cap": cap},
        )
        return plan

    def _release(
        self,
        rules: MetricRules,
        period: Period,
        plan: Plan,
        key: ReleaseKey,
        measurements: list[int],
    ) -> Release:
        estimate: Estimate = estimate_row(plan, measurements)
        variance = CountVariance.of_sample(rules.counting.exponent)
        day = interval(estimate.value, estimate.half_width, variance)
        band = interval(estimate.value, estimate.band_half_width, variance, 0.95 ** (1 / plan.days))
        return Release(
            release_id=key.release_id,
            metric=key.metric,
            window_days=key.window_days,
            day=key.day,
            revision=0,
            period=period.name,
            estimate=max(round(estimate.value), 0),
            estimate_raw=estimate.value,
            std_error=math.hypot(estimate.std_error, math.sqrt(variance.at(estimate.value))),
            lower_95=day.lower,
            upper_95=day.upper,
            band_lower_95=band.lower,
            band_upper_95=band.upper,
            epsilon=plan.epsilon,
            delta=plan.delta,
            mechanism=Mechanism.CONTINUAL,
            sketch=rules.counting.kind,
            sensitivity=plan.sensitivity,
            charge=None,
            measurement=measurements[-1],
            plan_id=plan.plan_id,
            released_at=self._calendar.now(),
        )


def require_counter(reader: Reader, census: Census | None) -> None:
    """Pass if it is for this census, or for the store itself, to count.

    Raises:
        CountedElsewhereError: if it is not.
    """
    if census is None:
        require_source(reader, ActivitySource.STORE, _BY_SPARK_ONLY)
    else:
        require_source(reader, ActivitySource.SPARK, _NOT_BY_SPARK)


def _charge(plan: Plan) -> GaussianCharge:
    """What a whole series costs."""
    return GaussianCharge(
        sigma=plan.sigma, sensitivity_squared=plan.sensitivity_squared, dimension=plan.days
    )


def _series_key(rules: MetricRules, period: Period) -> SeriesKey:
    return SeriesKey(rules.metric, rules.window_days, period.name)


def _measurements(reader: Reader, series: SeriesKey, plan: Plan) -> list[int]:
    """The rows measured so far, in day order."""
    rows = reader.ledger(metric=series.metric, period=series.period, kind=LedgerKind.RELEASE)
    releases = [release_of(row) for row in rows]
    return [
        release.measurement
        for release in sorted(releases, key=lambda release: release.day)
        if release.plan_id == plan.plan_id and release.window_days == series.window_days
    ]


def _limited(plan: Plan, state: SeriesState, present: BitMap) -> tuple[BitMap, bytes | None]:
    """Who is counted, and the limiter's next state."""
    if plan.presence.runs is None:
        return present, None
    limiter = (
        LimiterState.empty(plan.presence.runs)
        if state.limiter is None
        else LimiterState.from_bytes(state.limiter)
    )
    advance = limiter.advance(present)
    return advance.counted, advance.state.to_bytes()
