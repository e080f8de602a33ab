"""The product as one object: every question and command, answered with views.

The service and the command line are two ways to reach it.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

from dpdau import __version__
from dpdau.errors import (
    DayOutOfRangeError,
    ErasureUnfinishedError,
    InvalidValueError,
    StoreError,
)
from dpdau.formats import EventRules
from dpdau.hashing import Pseudonymizer, Sampler
from dpdau.model.calendar import Calendar, Period
from dpdau.model.erasures import Erasure
from dpdau.model.ledger import LedgerRow
from dpdau.model.releases import Metric, Release
from dpdau.model.sources import ActivitySource
from dpdau.pipeline.budget import Budget
from dpdau.pipeline.caps import CapRaiser
from dpdau.pipeline.census import Census
from dpdau.pipeline.count import exported_sketch
from dpdau.pipeline.erase import Eraser
from dpdau.pipeline.guard import LedgerGuard
from dpdau.pipeline.ingest import Ingestor
from dpdau.pipeline.integrity import verify
from dpdau.pipeline.planning import Planner, PlanRequest
from dpdau.pipeline.ports import Store
from dpdau.pipeline.publish import Publisher
from dpdau.pipeline.records import find_release, record_of
from dpdau.pipeline.recovery import Recovery
from dpdau.pipeline.rotation import rotation_status
from dpdau.pipeline.source import require_source, source_of
from dpdau.pipeline.upkeep import Upkeep
from dpdau.privacy.strategy import Plan
from dpdau.views import (
    BudgetTotalsView,
    BudgetView,
    ErasureView,
    ExplanationView,
    ForecastView,
    GuaranteeView,
    ReceiptView,
    ReleaseView,
    RotationView,
    SeriesView,
    StickinessView,
    ValueView,
    VerificationView,
)

__all__ = ["Application"]


@dataclass(frozen=True, slots=True)
class Application:
    """The wired pipeline; close it, or use it as a context manager.

    Attributes:
        store: where everything is kept.
        calendar: what time it is.
        ingestor: applies events.
        eraser: erases people.
        publisher: releases values.
        budget: accounts for them.
        planner: says what would be precise at which price.
        cap_raiser: allows more.
        guard: says whether the ledger may grow.
        recovery: lets it grow again after a rollback.
        upkeep: what happens by itself.
        pseudonymizer: replaces user ids.
        sampler: says whose events are kept; None for everyone's.
        sampling_exponent: k of the share 2^−k of all users that the store keeps.
        erase_by_default: whether a "-" without a scope erases the whole person.
    """

    store: Store
    calendar: Calendar
    ingestor: Ingestor
    eraser: Eraser
    publisher: Publisher
    budget: Budget
    planner: Planner
    cap_raiser: CapRaiser
    guard: LedgerGuard
    recovery: Recovery
    upkeep: Upkeep
    pseudonymizer: Pseudonymizer
    sampler: Sampler | None
    sampling_exponent: int
    erase_by_default: bool

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the store's files."""
        self.store.close()

    def event_rules(self, max_events: int | None = None) -> EventRules:
        """What an event may be at this moment.

        Args:
            max_events: the most events that one batch may hold; None for no limit.
        """
        first_day, last_day = self.calendar.accepted_days()
        return EventRules(
            timezone=self.calendar.timezone,
            first_day=first_day,
            last_day=last_day,
            erase_by_default=self.erase_by_default,
            max_events=max_events,
        )

    def release(self, metric: Metric, day: date, window_days: int | None = None) -> ReleaseView:
        """The value of a closed day, released now if it was not before; see `Publisher`."""
        return self._priced(self.publisher.release(metric, day, window_days))

    def released(self, release_id: str) -> ReleaseView:
        """The release with that id.

        Raises:
            ReleaseNotFoundError: if there is none.
        """
        with self.store.read() as reader:
            release = find_release(reader, release_id)
        self.guard.cover()
        return self._priced(release)

    def explain(self, release_id: str) -> ExplanationView:
        """What a release means, in words.

        Raises:
            ReleaseNotFoundError: if there is none.
        """
        with self.store.read() as reader:
            record = record_of(reader, release_id)
        self.guard.cover()
        return ExplanationView.of(record, self._priced(record.release))

    def revise(self, metric: Metric, day: date, window_days: int | None = None) -> ReleaseView:
        """A corrected value of a released day, at the price of one release."""
        return self._priced(self.publisher.revise(metric, day, window_days))

    def series(
        self,
        metric: Metric,
        start: date,
        end: date,
        window_days: int | None = None,
        *,
        publish: bool = True,
    ) -> SeriesView:
        """The values of a range of days, with the budgets of its periods; see `Publisher`."""
        answer = self.publisher.series(metric, start, end, window_days, publish=publish)
        periods = sorted({release.period for release in answer.releases})
        delta = self.budget.rules.delta
        with self.store.read() as reader:
            budgets = [
                BudgetView.of(self.budget.statement(reader, metric, Period.named(name)), delta)
                for name in periods
            ]
        caps = {budget.period: budget.epsilon_cap for budget in budgets}
        values = [
            ValueView.of(release, self._guarantee(release.period, caps[release.period]))
            for release in answer.releases
        ]
        return SeriesView.of(answer, start, end, values, budgets)

    def stickiness(self, start: date, end: date) -> StickinessView:
        """DAU/MAU of the days of a range for which both are published; publishes nothing."""
        daily, monthly = (
            self.publisher.series(metric, start, end, publish=False) for metric in Metric
        )
        return StickinessView.of(daily, monthly, start, end)

    def publish(
        self, end: date | None = None, start: date | None = None, census: Census | None = None
    ) -> Iterator[Release]:
        """Publish what is due up to a day, by default the newest closed one; see `Publisher`."""
        end = end or self.calendar.last_closed_day()
        return self.publisher.publish_through(end, start, census=census)

    def budget_of(self, metric: Metric, day: date | None = None) -> BudgetView:
        """What a metric has cost in the period of a day, by default today's."""
        period = self.calendar.period_of(day or self.calendar.today())
        with self.store.read() as reader:
            return BudgetView.of(
                self.budget.statement(reader, metric, period), self.budget.rules.delta
            )

    def budget_totals(self) -> BudgetTotalsView:
        """What everything published has cost."""
        with self.store.read() as reader:
            return BudgetTotalsView.of(self.budget.totals(reader), self.budget.rules.delta)

    def plan(self, metric: Metric, period: str) -> Plan:
        """The plan of a period's series.

        Raises:
            InvalidValueError: if no accounting period has that name.
        """
        return self.publisher.plan(metric, self._period(period).first)

    def forecast(self, request: PlanRequest) -> ForecastView:
        """The expected error of each mechanism for an accounting period, before any is used.

        Raises:
            InvalidValueError: naming what cannot be planned with.
        """
        if request.period is not None:
            self._period(request.period)
        return ForecastView.of(self.planner.plan(request))

    def raise_cap(
        self, metric: Metric, period: str, epsilon_cap: float, *, who: str, why: str
    ) -> BudgetView:
        """Raise the cap of a metric for a period; returns the budget under the new cap.

        Raises:
            InvalidValueError: if no accounting period has that name, the cap would not rise, or
                nobody or no reason is named.
        """
        named = self._period(period)
        self.cap_raiser.raise_to(metric, named, epsilon_cap, who=who, why=why)
        return self.budget_of(metric, named.first)

    def erase(self, user_ids: Sequence[str], request_key: str | None = None) -> ErasureView:
        """Erase people from everything that is kept, pages on disk included.

        If purging the pages fails, the erasure stands and its state says that it is not done.
        """
        return self._finished(self.eraser.erase(user_ids, request_key).erasure)

    def erase_again(self, since: date) -> ErasureView:
        """Erase again whom the journal knows since a day; see `Eraser.again`."""
        return self._finished(self.eraser.again(since))

    def erasure(self, erasure_id: str) -> ErasureView:
        """The state of an erasure."""
        return ErasureView.of(self.eraser.find(erasure_id))

    def receipt(self, erasure_id: str) -> ReceiptView:
        """What a complete erasure did, for operators to file.

        Raises:
            ErasureNotFoundError: if there is none with that id.
            ErasureUnfinishedError: if it is not complete, or nobody was erased.
        """
        erasure = self.eraser.find(erasure_id)
        if erasure.completed_at is None:
            raise ErasureUnfinishedError(erasure_id, erasure.refusal)
        carried_out_on = self.calendar.day_of(erasure.requested_at)
        with self.store.read() as reader:
            source = source_of(reader)
        return ReceiptView.of(
            erasure,
            program=f"dpdau {__version__}",
            issued_at=self.calendar.now(),
            kept_until=carried_out_on + timedelta(days=self.calendar.retention_days),
            source=source,
        )

    def rotation(self) -> RotationView:
        """How far people have moved to the secret in force."""
        with self.store.read() as reader:
            return RotationView.of(rotation_status(reader, self.calendar))

    def ledger(self, metric: Metric | None = None, period: str | None = None) -> list[LedgerRow]:
        """The ledger's rows, oldest first."""
        with self.store.read() as reader:
            rows = reader.ledger(metric=metric, period=period)
        self.guard.cover()
        return rows

    def verify(self) -> VerificationView:
        """Recompute everything that the ledger claims.

        Raises:
            LedgerDamagedError: naming the first row that is wrong, and how.
        """
        first_kept, _ = self.calendar.accepted_days()
        with self.store.read() as reader:
            found = verify(reader, self.budget.rules, first_kept)
        self.guard.check()
        return VerificationView.of(found)

    def acknowledge(self, who: str, why: str, *, nothing_lost: bool = False) -> list[LedgerRow]:
        """Charge what a rolled back ledger lost, so that releases go on; gives the new rows."""
        return self.recovery.acknowledge(who, why, nothing_lost=nothing_lost)

    def export_sketch(self, day: date, window_days: int) -> bytes:
        """Who was active in a window as an Apache DataSketches compact theta sketch.

        It is *not* private, and for administrators only.

        Raises:
            InvalidValueError: if the window is none that can be counted.
            DayOutOfRangeError: if older activity than is kept would be needed.
        """
        first_kept, last = self.calendar.accepted_days()
        longest = self.calendar.retention_days
        if not 1 <= window_days <= longest:
            raise InvalidValueError("window", window_days, f"a number of days from 1 to {longest}")
        if not first_kept <= day - timedelta(days=window_days - 1) <= day <= last:
            raise DayOutOfRangeError(
                day, f"its window of {window_days} days is not within {first_kept} to {last}"
            )
        with self.store.read() as reader:
            require_source(reader, ActivitySource.STORE, "it has no sketch to export")
            return exported_sketch(reader, self.sampling_exponent, day, window_days)

    def _priced(self, release: Release) -> ReleaseView:
        with self.store.read() as reader:
            statement = self.budget.statement(reader, release.metric, Period.named(release.period))
        guarantee = self._guarantee(release.period, statement.cap)
        return ReleaseView.priced(release, guarantee, statement)

    def _guarantee(self, period: str, cap: float) -> GuaranteeView:
        return GuaranteeView(period=period, epsilon=cap, delta=self.budget.rules.delta)

    def _finished(self, erasure: Erasure) -> ErasureView:
        """The state of an erasure once it was tried to finish it."""
        with suppress(StoreError):
            self.eraser.finish()
        return self.erasure(erasure.erasure_id)

    def _period(self, name: str) -> Period:
        """The accounting period with that name."""
        period = Period.named(name)
        if self.calendar.period_of(period.first) != period:
            known = self.calendar.period_of(self.calendar.today()).name
            raise InvalidValueError("period", name, f"an accounting period, such as {known}")
        return period
