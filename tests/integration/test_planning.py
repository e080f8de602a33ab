"""What the planner says against what the product then really publishes."""

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dpdau.application import Application
from dpdau.bootstrap import build_planner
from dpdau.config import load_settings
from dpdau.errors import BudgetExhaustedError, InvalidValueError
from dpdau.model.releases import Mechanism, Metric
from dpdau.pipeline.planning import PlanRequest
from dpdau.store import MemoryStore
from dpdau.views import ForecastView
from support import FakeClock, application

FIRST = date(2025, 10, 1)
OCTOBER = [FIRST + timedelta(days=offset) for offset in range(31)]


@pytest.fixture
def open_app(tmp_path: Path) -> Iterator[Any]:
    opened: list[Application] = []

    def make(**settings: Any) -> Application:
        clock = FakeClock(datetime(2025, 11, 20, 12, tzinfo=UTC))
        opened.append(application(tmp_path, store=MemoryStore(), clock=clock, **settings))
        return opened[-1]

    yield make
    for app in opened:
        app.close()


def planned(app: Application, **request: Any) -> ForecastView:
    return app.forecast(PlanRequest(**{"users": 1_000, "period": "2025-10", **request}))


def of(view: ForecastView, mechanism: Mechanism) -> Any:
    return next(each for each in view.mechanisms if each.mechanism is mechanism)


@pytest.mark.parametrize("metric", Metric)
def test_a_series_has_the_error_that_was_planned(open_app: Any, metric: Metric) -> None:
    app = open_app(w_bound_mau=2, mau_budget_total=2.0, series_share=0.7)
    errors = [value.std_error for value in app.series(metric, FIRST, OCTOBER[-1]).releases]
    plan = of(planned(app, metric=metric), Mechanism.CONTINUAL)

    assert len(errors) == plan.publishable_days == 31
    mean = math.sqrt(sum(error**2 for error in errors) / 31)
    assert mean == pytest.approx(plan.std_error, rel=1e-12)
    assert app.budget_of(metric, FIRST).epsilon_spent == pytest.approx(plan.epsilon_spent, rel=1e-9)


@pytest.mark.parametrize("mechanism", [Mechanism.LAPLACE, Mechanism.GAUSSIAN])
def test_releases_at_the_planned_price_pay_for_every_day(
    open_app: Any, mechanism: Mechanism
) -> None:
    plan = of(planned(open_app()), mechanism)
    app = open_app(mechanism_dau=mechanism, epsilon_dau=plan.epsilon_per_release)
    errors = {app.release(Metric.DAU, day).std_error for day in OCTOBER}

    assert errors == {plan.std_error}
    spent = app.budget_of(Metric.DAU, FIRST).epsilon_spent
    assert spent <= 3.0
    assert spent == pytest.approx(plan.epsilon_spent, rel=1e-12)


@pytest.mark.parametrize("mechanism", [Mechanism.LAPLACE, Mechanism.GAUSSIAN])
def test_as_many_days_are_paid_as_planned(open_app: Any, mechanism: Mechanism) -> None:
    app = open_app(mechanism_dau=mechanism, epsilon_dau=0.6)
    days = of(planned(app), mechanism).publishable_days

    assert 0 < days < 31
    for day in OCTOBER[:days]:
        app.release(Metric.DAU, day)
    with pytest.raises(BudgetExhaustedError):
        app.release(Metric.DAU, OCTOBER[days])


def test_planning_writes_nothing_and_needs_no_store(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "none")
    view = ForecastView.of(build_planner(settings).plan(PlanRequest(users=10, days=7)))

    assert (view.period, view.days) == (None, 7)
    assert not (tmp_path / "none").exists()


def test_what_is_left_out_is_as_configured(open_app: Any) -> None:
    app = open_app(delta=1e-7, advanced_delta=1e-8, mau_window_days=28, w_bound_mau=2)
    view = planned(app, metric=Metric.MAU, period=None)

    assert (view.period, view.days, view.window_days, view.runs) == ("2025-11", 30, 28, 1)
    assert (view.epsilon, view.delta, view.release_epsilon) == (3.5, 1e-7, 0.5)
    assert view.target_error is None


def test_what_is_given_is_taken(tmp_path: Path) -> None:
    planner = build_planner(load_settings(data_dir=tmp_path))
    request = PlanRequest(
        users=10, metric=Metric.MAU, epsilon=1.0, delta=1e-5, days=6, window_days=7, flips=5
    )
    question = planner.plan(request).forecast.question

    assert (question.epsilon, question.delta, question.days) == (1.0, 1e-5, 6)
    assert (question.window_days, question.presence.runs) == (7, 2)
    free = planner.plan(PlanRequest(users=10, metric=Metric.MAU, days=6, flips="unbounded"))
    assert free.forecast.question.presence.runs is None


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("period", {"period": "October"}),
        ("period", {"period": "2025-Q4"}),
        ("days", {"days": 7}),
        ("flips", {"flips": 1}),
        ("flips", {"flips": -2}),
        ("users", {"users": 0}),
        ("epsilon", {"epsilon": 0.0}),
        ("delta", {"delta": 1.0}),
        ("window", {"window_days": 2}),
        ("target_error", {"target_error": "small"}),
        ("target_error", {"target_error": "0"}),
    ],
)
def test_what_cannot_be_planned_is_named(
    open_app: Any, name: str, request_: dict[str, Any]
) -> None:
    with pytest.raises(InvalidValueError) as failed:
        planned(open_app(), **request_)
    assert failed.value.parameter == name
    assert "expected None" not in failed.value.message


class TestAdvice:
    def test_within_the_budget_the_cheapest_is_advised(self, open_app: Any) -> None:
        view = planned(open_app(), target_error="2%")
        assert view.recommended is Mechanism.CONTINUAL
        assert view.recommendation.startswith("Take a continual series: 2% (20 users) needs")
        assert "with Laplace noise for each release" in view.recommendation
        assert (view.target_error, view.target_users) == ("2%", 20)

    def test_beyond_the_budget_it_says_what_would_be_needed_and_what_there_is(
        self, open_app: Any
    ) -> None:
        view = planned(open_app(), target_error="1")
        assert view.recommendation.startswith("1 user cannot be reached below ε = 25")
        assert "the budget is ε = 3: raise it, or accept 6.2 users." in view.recommendation

    def test_without_a_target_the_most_precise_is_advised(self, open_app: Any) -> None:
        view = planned(open_app())
        assert view.recommendation.startswith(
            "Take a continual series: its standard error of 6.2 users (0.62 %) is the smallest"
        )
        assert any("The series takes ε = 2.4 of the 3" in remark for remark in view.remarks)

    def test_remarks_are_made_only_where_they_are_true(self, open_app: Any) -> None:
        plain = " ".join(planned(open_app(series_share=1)).remarks)
        for words in ("undercounted", "below one user", "left", "window"):
            assert words not in plain
        app = open_app(w_bound_mau=2)
        said = " ".join(planned(app, metric=Metric.MAU, window_days=7).remarks)
        assert "at most 1 run of days" in said
        assert "a window of 7 days is released on demand" in said

    def test_a_short_period_needs_no_series(self, tmp_path: Path) -> None:
        planner = build_planner(load_settings(data_dir=tmp_path))
        view = ForecastView.of(planner.plan(PlanRequest(users=10, days=1)))
        assert view.recommended is Mechanism.LAPLACE
        assert "the error is already below one user" in view.remarks[0]
        assert "nothing is left for corrections" in view.remarks[1]

    def test_a_mechanism_that_cannot_be_paid_is_left_out_with_the_reason(
        self, open_app: Any
    ) -> None:
        view = planned(open_app(delta=0.01), epsilon=0.01)
        assert [each.mechanism for each in view.mechanisms] == ["continual", "laplace"]
        assert any("Gaussian noise for each release is left out" in each for each in view.remarks)

    def test_others_that_do_not_reach_a_target_are_not_compared(self, open_app: Any) -> None:
        view = planned(open_app(dau_budget_total=50), target_error="0.75")
        assert "against" not in view.recommendation
        assert view.recommended is Mechanism.CONTINUAL


def test_a_plan_for_a_sample_says_what_of_the_error_no_budget_takes_away(open_app: Any) -> None:
    view = planned(open_app(sketch_impl="theta", sketch_sampling_rate=0.25), users=10_000)
    # √(10,000·3) users.
    assert view.remarks[-2] == (
        "One in 4 users is stored: of the error, 173 users come from that sample, whatever the "
        "budget, and the noise is 4 times that of exact counts."
    )
    assert [each.sampling_rate for each in view.sketches] == [1, 0.25, 1]


def test_a_plan_for_hllpp_offers_its_own_mechanism_and_says_what_it_is_for(open_app: Any) -> None:
    view = planned(
        open_app(sketch_impl="hllpp", mechanism_dau="intrinsic", mechanism_mau="intrinsic")
    )
    assert [each.mechanism for each in view.mechanisms] == [Mechanism.INTRINSIC]
    assert view.recommendation.startswith("Take HyperLogLog's own randomness for each release")
    assert any("hllpp stores every user" in each for each in view.remarks)
    assert not any("Gaussian noise" in each for each in view.remarks)


def test_a_sampled_series_has_the_error_that_was_planned_but_for_who_was_counted(
    open_app: Any,
) -> None:
    app = open_app(sketch_impl="theta", sketch_sampling_rate=0.25)
    values = app.series(Metric.DAU, FIRST, OCTOBER[-1]).releases
    plan = of(planned(app, users=1), Mechanism.CONTINUAL)
    # Nobody was active, so the sample's part of each error is that of the noisy estimate.
    noise = [value.std_error**2 - 3 * max(value.estimate_raw, 0) for value in values]
    mean = math.sqrt(sum(noise) / 31)
    assert mean == pytest.approx(math.sqrt(plan.std_error**2 - 3), rel=1e-9)
