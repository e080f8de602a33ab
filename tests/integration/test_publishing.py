"""Publishing through the whole product, on the memory store, with a clock that stands still."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import msgspec
import pytest

from dpdau.application import Application
from dpdau.errors import (
    BudgetExhaustedError,
    ClockLeaptError,
    DayOpenError,
    DayOutOfRangeError,
    InvalidValueError,
    LedgerDamagedError,
    ReleaseNotFoundError,
    StoreError,
)
from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Mechanism, Metric, SeriesKey
from dpdau.pipeline import ondemand, series
from dpdau.pipeline.publish import Due
from dpdau.store import MemoryStore
from support import EXACT, Event, FakeClock, application, columns

TODAY = date(2025, 11, 20)
YESTERDAY = TODAY - timedelta(days=1)
PER_RELEASE = {"mechanism_dau": "laplace", "mechanism_mau": "gaussian"}


@pytest.fixture
def open_app(tmp_path: Path, clock: FakeClock, store: MemoryStore) -> Iterator[Any]:
    opened: list[Application] = []

    def make(created: date = date(2025, 11, 1), **settings: Any) -> Application:
        settings = {"lateness_hours": 0, **settings}
        now, clock.now = clock.now, datetime(created.year, created.month, created.day, tzinfo=UTC)
        opened.append(application(tmp_path, store=store, clock=clock, **settings))
        clock.now = now
        return opened[-1]

    yield make
    for app in opened:
        app.close()


def send(app: Application, *events: Event) -> None:
    app.ingestor.apply(app.ingestor.pseudonymize(columns(events)))


def release_and_fail_to_record(
    app: Application, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(module, "append_release", fail)
        with pytest.raises(StoreError):
            app.release(Metric.DAU, YESTERDAY)


class TestSingleReleases:
    def test_asking_again_gives_the_same_answer_and_costs_nothing(self, open_app: Any) -> None:
        app = open_app(**PER_RELEASE)
        send(app, Event("ada", YESTERDAY))
        first = app.release(Metric.DAU, YESTERDAY)
        send(app, *(Event(f"late-{number}", YESTERDAY) for number in range(50)))
        assert app.release(Metric.DAU, YESTERDAY) == first
        assert first.budget.epsilon_spent == pytest.approx(0.3, abs=1e-5)
        assert first.mechanism is Mechanism.LAPLACE

    def test_an_open_day_is_refused_and_nothing_is_spent(self, open_app: Any) -> None:
        app = open_app(**PER_RELEASE)
        with pytest.raises(DayOpenError, match="2025-11-20 is still open"):
            app.release(Metric.DAU, TODAY)
        assert app.ledger() == []

    @pytest.mark.parametrize("metric", Metric)
    def test_a_day_whose_data_may_be_gone_is_refused(self, open_app: Any, metric: Metric) -> None:
        app = open_app(**PER_RELEASE)
        with pytest.raises(DayOutOfRangeError, match="RETENTION_DAYS"):
            app.release(metric, TODAY - timedelta(days=401))

    @pytest.mark.parametrize(
        ("metric", "window"), [(Metric.DAU, 2), (Metric.MAU, 0), (Metric.MAU, 401)]
    )
    def test_a_window_that_cannot_be_counted_is_refused(
        self, open_app: Any, metric: Metric, window: int
    ) -> None:
        with pytest.raises(InvalidValueError, match="window is"):
            open_app(**PER_RELEASE).release(metric, YESTERDAY, window)

    def test_an_exhausted_budget_refuses_and_spends_nothing(self, open_app: Any) -> None:
        app = open_app(**PER_RELEASE, dau_budget_total=0.7)
        days = [YESTERDAY - timedelta(days=back) for back in range(3)]
        for day in days[:2]:
            app.release(Metric.DAU, day)
        before = app.budget_of(Metric.DAU)
        with pytest.raises(BudgetExhaustedError, match=r"budget of 2025-11 is ε = 0.7") as refusal:
            app.release(Metric.DAU, days[2])
        assert refusal.value.http_status == 429
        assert app.budget_of(Metric.DAU) == before
        assert app.release(Metric.DAU, days[0]).budget.epsilon_spent == before.epsilon_spent

    def test_every_period_has_a_budget_of_its_own(self, open_app: Any) -> None:
        app = open_app(**PER_RELEASE, dau_budget_total=0.3)
        app.release(Metric.DAU, date(2025, 11, 3))
        app.release(Metric.DAU, date(2025, 10, 3))
        with pytest.raises(BudgetExhaustedError):
            app.release(Metric.DAU, date(2025, 10, 4))

    def test_windows_of_one_metric_share_its_budget(self, open_app: Any) -> None:
        app = open_app(**PER_RELEASE)
        one = app.release(Metric.MAU, YESTERDAY, 7)
        two = app.release(Metric.MAU, YESTERDAY, 14)
        assert two.budget.releases == 2
        assert one.budget.epsilon_spent < two.budget.epsilon_spent < 2 * 0.5 + 1e-9
        assert two.budget.metric is Metric.MAU

    def test_the_value_and_its_price_are_one_ledger_row(self, open_app: Any) -> None:
        app = open_app(**PER_RELEASE)
        view = app.release(Metric.MAU, YESTERDAY)
        (row,) = app.ledger()
        assert (row.kind, row.subject) == (LedgerKind.RELEASE, view.release_id)
        assert row.body["estimate"] == view.estimate
        assert row.charge is not None
        assert app.verify().rows == 1

    def test_a_failure_after_the_noise_was_drawn_leaves_no_row(
        self, open_app: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app = open_app(**PER_RELEASE)
        release_and_fail_to_record(app, ondemand, monkeypatch)
        assert app.ledger() == []
        assert app.release(Metric.DAU, YESTERDAY).budget.epsilon_spent == pytest.approx(
            0.3, abs=1e-5
        )

    def test_nothing_is_released_behind_a_damaged_row(
        self, open_app: Any, store: MemoryStore
    ) -> None:
        app = open_app(**PER_RELEASE)
        app.release(Metric.DAU, YESTERDAY)
        (row,) = app.ledger()
        edited = msgspec.structs.replace(row, body={**row.body, "estimate": 10**6})
        store._state.ledger[0] = edited  # noqa: SLF001 - what an editor of the file does
        with pytest.raises(LedgerDamagedError, match="row 1"):
            app.release(Metric.DAU, YESTERDAY - timedelta(days=1))


class TestSeries:
    def test_every_day_of_a_month_is_published_for_one_budget(
        self, open_app: Any, clock: FakeClock, store: MemoryStore
    ) -> None:
        app = open_app()
        clock.now = datetime(2025, 12, 1, 12, tzinfo=UTC)
        published = list(app.publish())
        november = [r for r in published if r.period == "2025-11"]
        assert len(november) == 2 * 30
        for metric, cap in ((Metric.DAU, 3.0), (Metric.MAU, 3.5)):
            budget = app.budget_of(metric, date(2025, 11, 30))
            assert budget.epsilon_spent <= 0.8 * cap * (1 + 1e-9)
            assert budget.releases == 30
        with store.read() as reader:
            assert {key.period for key in reader.series_keys()} == set()

    def test_rows_are_published_in_order_and_only_once(self, open_app: Any) -> None:
        app = open_app()
        view = app.release(Metric.DAU, date(2025, 11, 5))
        rows = app.ledger(Metric.DAU)
        assert [row.kind for row in rows] == [LedgerKind.SERIES, *[LedgerKind.RELEASE] * 5]
        assert [row.subject for row in rows[1:]] == [
            f"dau-1d-2025-11-0{day}" for day in range(1, 6)
        ]
        assert app.release(Metric.DAU, date(2025, 11, 5)) == view
        assert {row.metric for row in app.publish(date(2025, 11, 5))} == {Metric.MAU}
        assert len(app.ledger(Metric.DAU)) == 6

    def test_true_totals_are_kept_only_until_the_period_is_complete(
        self, open_app: Any, clock: FakeClock, store: MemoryStore
    ) -> None:
        app = open_app()
        key = SeriesKey(Metric.DAU, 1, "2025-11")
        send(app, Event("ada", date(2025, 11, 3)))
        app.release(Metric.DAU, date(2025, 11, 4))
        with store.read() as reader:
            state = reader.series_state(key)
        assert state is not None
        assert state.totals == (0, 0, 1, 0)
        clock.now = datetime(2025, 12, 1, 12, tzinfo=UTC)
        app.release(Metric.DAU, date(2025, 11, 30))
        with store.read() as reader:
            assert reader.series_state(key) is None
        assert len(app.ledger(Metric.DAU)) == 31

    def test_estimates_are_near_the_truth_when_the_budget_is_vast(self, open_app: Any) -> None:
        vast = {"dau_budget_total": 1e9, "mau_budget_total": 1e9}
        app = open_app(**vast)
        send(app, *(Event(f"u{n}", date(2025, 11, 1 + n % 9)) for n in range(90)))
        for day in range(1, 10):
            assert app.release(Metric.DAU, date(2025, 11, day)).estimate == 10
            assert app.release(Metric.MAU, date(2025, 11, day)).estimate == 10 * day

    def test_other_windows_are_paid_from_what_the_series_leaves(self, open_app: Any) -> None:
        app = open_app()
        app.release(Metric.MAU, YESTERDAY)
        view = app.release(Metric.MAU, YESTERDAY, 7)
        assert view.mechanism is Mechanism.GAUSSIAN
        assert 0.8 * 3.5 < view.budget.epsilon_spent < 3.5

    def test_a_plan_that_does_not_fit_is_refused_before_anything_is_spent(
        self, open_app: Any
    ) -> None:
        open_app(**PER_RELEASE, epsilon_mau=3.4).release(Metric.MAU, YESTERDAY, 10)
        app = open_app()
        rows = len(app.ledger())
        with pytest.raises(BudgetExhaustedError):
            app.release(Metric.MAU, YESTERDAY)
        assert len(app.ledger()) == rows

    def test_a_failure_between_measuring_and_recording_leaves_no_row(
        self, open_app: Any, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app = open_app()
        release_and_fail_to_record(app, series, monkeypatch)
        assert app.ledger() == []
        with store.read() as reader:
            assert reader.series_keys() == []
        app.release(Metric.DAU, YESTERDAY)

    def test_private_state_that_does_not_fit_the_ledger_stops_the_series(
        self, open_app: Any, store: MemoryStore
    ) -> None:
        app = open_app()
        app.release(Metric.DAU, date(2025, 11, 3))
        key = SeriesKey(Metric.DAU, 1, "2025-11")
        with store.write() as transaction:
            state = transaction.series_state(key)
            assert state is not None
            transaction.put_series_state(key, type(state)(state.totals[:1], None))
        with pytest.raises(StoreError, match="has 1 rows and the ledger 3"):
            app.release(Metric.DAU, YESTERDAY)

    def test_a_day_that_a_closed_series_never_measured_has_no_value(
        self, open_app: Any, store: MemoryStore
    ) -> None:
        app = open_app()
        app.release(Metric.DAU, date(2025, 11, 3))
        with store.write() as transaction:
            transaction.drop_series_state(SeriesKey(Metric.DAU, 1, "2025-11"))
        with pytest.raises(ReleaseNotFoundError, match="dau-1d-2025-11-04"):
            app.release(Metric.DAU, date(2025, 11, 4))

    def test_a_plan_stays_as_it_was_when_settings_change_within_the_period(
        self, open_app: Any
    ) -> None:
        app = open_app()
        app.release(Metric.MAU, date(2025, 11, 3))
        recorded = app.plan(Metric.MAU, "2025-11")
        changed = open_app(mau_budget_total=5.0, w_bound_mau=2)
        changed.release(Metric.MAU, YESTERDAY)
        assert changed.plan(Metric.MAU, "2025-11") == recorded
        assert changed.plan(Metric.MAU, "2025-12") != recorded


class TestRanges:
    def test_a_range_of_a_series_publishes_its_closed_days(self, open_app: Any) -> None:
        app = open_app()
        view = app.series(Metric.DAU, date(2025, 11, 17), date(2025, 11, 22))
        assert [value.day.day for value in view.releases] == [17, 18, 19]
        assert [day.day for day in view.unpublished] == [20, 21, 22]
        assert [budget.period for budget in view.budgets] == ["2025-11"]

    def test_a_range_of_single_releases_shows_what_exists_and_spends_nothing(
        self, open_app: Any
    ) -> None:
        app = open_app(**PER_RELEASE)
        app.release(Metric.DAU, date(2025, 11, 17))
        view = app.series(Metric.DAU, date(2025, 11, 16), date(2025, 11, 18))
        assert [value.day.day for value in view.releases] == [17]
        assert [day.day for day in view.unpublished] == [16, 18]
        assert len(app.ledger()) == 1

    @pytest.mark.parametrize("end", [date(2025, 11, 16), date(2029, 1, 1)])
    def test_an_empty_or_endless_range_is_refused(self, open_app: Any, end: date) -> None:
        with pytest.raises(InvalidValueError, match="end is"):
            open_app().series(Metric.DAU, date(2025, 11, 17), end)

    def test_a_range_before_the_retention_has_no_values(self, open_app: Any) -> None:
        view = open_app().series(Metric.DAU, date(2024, 1, 1), date(2024, 1, 2))
        assert view.releases == []


class TestPublishThrough:
    def test_single_releases_are_published_only_from_a_given_day(self, open_app: Any) -> None:
        app = open_app(**PER_RELEASE)
        assert list(app.publish()) == []
        days = [release.day.day for release in app.publish(start=date(2025, 11, 18))]
        assert days == [18, 19, 18, 19]
        assert list(app.publish(start=date(2025, 11, 18))) == []

    def test_one_metric_without_budget_does_not_stop_the_other(self, open_app: Any) -> None:
        app = open_app(**PER_RELEASE, dau_budget_total=0.3)
        with pytest.raises(BudgetExhaustedError, match="The dau budget"):
            list(app.publish(start=date(2025, 11, 18)))
        published = [row.subject for row in app.ledger()]
        assert published == ["dau-1d-2025-11-18", "mau-30d-2025-11-18", "mau-30d-2025-11-19"]

    def test_missed_days_are_caught_up_over_a_boundary(
        self, open_app: Any, clock: FakeClock
    ) -> None:
        app = open_app(mechanism_mau="gaussian")
        assert [release.day.day for release in app.publish()] == list(range(1, 20))
        assert app.publisher.due() == Due(0, None)
        clock.advance(days=15)
        assert app.publisher.due() == Due(15, app.calendar.closes_at(TODAY))
        caught_up = [release.day for release in app.publish()]
        assert caught_up == [TODAY + timedelta(days=offset) for offset in range(15)]

    def test_a_period_opened_by_hand_is_completed_and_its_neighbours_stay_closed(
        self, open_app: Any
    ) -> None:
        app = open_app(mechanism_mau="gaussian")
        app.release(Metric.DAU, date(2025, 8, 2))
        assert {release.period for release in app.publish()} == {"2025-08", "2025-11"}

    def test_an_earlier_period_is_not_due_because_a_later_one_has_begun(
        self, open_app: Any
    ) -> None:
        app = open_app()
        assert list(app.publish())
        before = app.ledger()
        for through in (date(2025, 10, 31), date(2025, 10, 2), date(2001, 5, 17)):
            assert list(app.publish(through)) == []
        assert app.ledger() == before
        assert {row.period for row in before} == {"2025-11"}

    def test_a_new_store_can_be_filled_before_anything_is_published_by_itself(
        self, open_app: Any, clock: FakeClock
    ) -> None:
        app = open_app(created=TODAY, mechanism_mau="gaussian")
        assert app.publisher.due().days == 0
        assert list(app.publish()) == []
        clock.advance(days=1)
        assert app.publisher.due().days == 20
        assert len(list(app.publish())) == 20

    def test_days_still_open_are_left_for_later(self, open_app: Any) -> None:
        last = list(open_app(mechanism_mau="gaussian").publish(date(2026, 5, 1)))[-1]
        assert last.day == YESTERDAY

    def test_a_backfill_skips_periods_whose_data_is_gone(self, open_app: Any) -> None:
        app = open_app(mechanism_mau="gaussian")
        periods = {release.period for release in app.publish(start=date(2024, 9, 1))}
        assert min(periods) == "2024-11"
        assert max(periods) == "2025-11"


class TestRevisions:
    def test_a_revision_is_a_new_value_at_a_price(self, open_app: Any) -> None:
        app = open_app()
        send(app, *(Event(f"u{n}", YESTERDAY) for n in range(40)))
        first = app.release(Metric.DAU, YESTERDAY)
        app.erase([f"u{n}" for n in range(30)])
        revised = app.revise(Metric.DAU, YESTERDAY)
        assert revised.revision == 1
        assert revised.release_id == f"{first.release_id}-r1"
        assert revised.budget.epsilon_spent > first.budget.epsilon_spent
        assert app.release(Metric.DAU, YESTERDAY) == revised
        assert app.revise(Metric.DAU, YESTERDAY).revision == 2

    def test_what_was_never_released_cannot_be_revised(self, open_app: Any) -> None:
        with pytest.raises(ReleaseNotFoundError, match="dau-1d-2025-11-19"):
            open_app().revise(Metric.DAU, YESTERDAY)

    def test_a_series_goes_on_after_a_revision(self, open_app: Any, clock: FakeClock) -> None:
        app = open_app()
        app.release(Metric.DAU, YESTERDAY)
        app.revise(Metric.DAU, YESTERDAY)
        clock.advance(days=1)
        assert app.release(Metric.DAU, TODAY).mechanism is Mechanism.CONTINUAL


class TestBudgets:
    def test_nothing_released_costs_nothing(self, open_app: Any) -> None:
        budget = open_app().budget_of(Metric.DAU)
        assert (budget.epsilon_spent, budget.epsilon_remaining) == (0.0, 3.0)
        assert budget.releases == 0

    def test_totals_join_metrics_and_periods(self, open_app: Any) -> None:
        app = open_app()
        for day in (date(2025, 10, 2), date(2025, 11, 2)):
            app.release(Metric.DAU, day)
            app.release(Metric.MAU, day)
        totals = app.budget_totals()
        assert [(each.period, each.metric) for each in totals.periods] == [
            ("2025-10", Metric.DAU),
            ("2025-10", Metric.MAU),
            ("2025-11", Metric.DAU),
            ("2025-11", Metric.MAU),
        ]
        alone = max(each.epsilon_spent for each in totals.periods)
        joint = totals.joint["2025-11"].epsilon
        assert alone < joint < 2.4 + 2.8
        assert joint < totals.lifetime.epsilon < 2 * joint
        for each in (*totals.joint.values(), totals.lifetime):
            assert each.epsilon <= each.rdp.epsilon <= each.naive
            assert set(each.rdp.curve) == {"2", "4", "8", "16", "32"}


class TestTheShareOfASeries:
    """Whoever asks first for other windows cannot leave a month without its daily values."""

    SETTINGS: ClassVar = {"w_bound_mau": "unbounded", "mau_window_days": 7}

    def drained(self, app: Application) -> BudgetExhaustedError:
        for window_days in range(8, 40):
            try:
                app.release(Metric.MAU, date(2025, 11, 1), window_days)
            except BudgetExhaustedError as error:
                return error
        pytest.fail("the budget has no end")

    def test_it_is_kept_for_it_before_it_has_begun(self, open_app: Any) -> None:
        app = open_app(**self.SETTINGS)
        error = self.drained(app)

        assert "kept for the period's own series" in error.message
        assert len(list(app.publish())) == 2 * 19
        budget = app.budget_of(Metric.MAU)
        assert 2.8 < budget.epsilon_spent <= 3.5

    def test_afterwards_it_is_spent_and_not_kept_twice(self, open_app: Any) -> None:
        before = open_app(**self.SETTINGS)
        answered = len(before.ledger(Metric.MAU)) if self.drained(before) else 0
        later = open_app(created=date(2025, 11, 1), **self.SETTINGS)
        list(later.publish())
        error = self.drained(later)

        assert answered > 0
        assert "kept" not in error.message

    def test_it_is_not_kept_where_it_has_no_room_any_more(self, open_app: Any) -> None:
        spent = open_app(**PER_RELEASE, epsilon_mau=3.3)
        assert spent.release(Metric.MAU, YESTERDAY).epsilon == 3.3
        app = open_app(**self.SETTINGS)

        assert app.release(Metric.MAU, YESTERDAY, 10).mechanism is Mechanism.GAUSSIAN
        with pytest.raises(BudgetExhaustedError):
            app.release(Metric.MAU, YESTERDAY)

    def test_it_is_not_kept_where_its_first_day_is_no_longer_known(self, open_app: Any) -> None:
        app = open_app(**self.SETTINGS, retention_days=38)
        day = date(2025, 10, 25)
        with pytest.raises(DayOutOfRangeError):
            app.release(Metric.MAU, day)
        refusals = []
        for window_days in (1, 2, 3, 4, 5, 6):
            for later in range(6):
                try:
                    app.release(Metric.MAU, day + timedelta(days=later), window_days)
                except BudgetExhaustedError as error:
                    refusals.append(error)

        assert refusals
        assert not any("kept" in error.message for error in refusals)


class TestUpkeep:
    def test_closed_days_are_published_by_themselves(self, open_app: Any, clock: FakeClock) -> None:
        app = open_app(mechanism_mau="gaussian")
        report = app.upkeep.run()
        assert len(report.published) == 19
        assert (report.due_days, report.waiting_erasures, report.refused) == (0, 0, [])
        clock.advance(days=1)
        assert app.upkeep.run().published == ["dau-1d-2025-11-20"]

    def test_an_exhausted_budget_is_reported_and_does_not_stop_the_rest(
        self, open_app: Any
    ) -> None:
        open_app(**EXACT, lateness_hours=0).release(Metric.DAU, YESTERDAY)
        report = open_app().upkeep.run()
        assert {name[:3] for name in report.published} == {"mau"}
        assert [message[:14] for message in report.refused] == ["The dau budget"]
        assert report.due_days == 19

    def test_a_clock_that_goes_back_a_month_opens_no_former_period(
        self, open_app: Any, clock: FakeClock
    ) -> None:
        app = open_app()
        app.release(Metric.MAU, YESTERDAY)
        rows = len(app.ledger())
        clock.advance(days=-30)
        assert app.upkeep.run().published == []
        assert app.publisher.due().days == 0
        assert len(app.ledger()) == rows

    def test_a_clock_that_leapt_publishes_nothing_new_and_shows_what_there_is(
        self, open_app: Any, clock: FakeClock
    ) -> None:
        app = open_app()
        released = app.release(Metric.DAU, YESTERDAY)
        clock.advance(days=365)
        for question in (
            lambda: app.release(Metric.DAU, TODAY),
            lambda: list(app.publish()),
            app.upkeep.run,
        ):
            with pytest.raises(ClockLeaptError, match="2025-11-20 12:00 to 2026-11-20 12:00"):
                question()
        assert app.release(Metric.DAU, YESTERDAY).estimate == released.estimate
        shown = app.series(Metric.DAU, YESTERDAY, TODAY + timedelta(days=40))
        assert shown.releases[-1].day == YESTERDAY
        clock.advance(days=-364)
        assert app.release(Metric.DAU, TODAY).day == TODAY

    @pytest.mark.usefixtures("leaps_are_believed")
    def test_activity_past_the_retention_is_dropped(
        self, open_app: Any, clock: FakeClock, store: MemoryStore
    ) -> None:
        app = open_app()
        oldest = TODAY - timedelta(days=400)
        send(app, Event("ada", oldest), Event("ada", oldest + timedelta(days=1)))
        app.release(Metric.DAU, YESTERDAY)
        app.upkeep.run()
        clock.advance(days=1)
        app.upkeep.run()
        with store.read() as reader:
            assert len(reader.members(oldest.toordinal(), oldest.toordinal())) == 0
            assert len(reader.members(oldest.toordinal(), TODAY.toordinal())) == 1
        clock.advance(days=500)
        app.upkeep.run()
        with store.read() as reader:
            assert {key.period for key in reader.series_keys()} <= {"2027-04", "2027-03"}
