"""Planning: what would be published, how precisely and for how much.

Reads the configuration and the calendar only: no store is opened and nothing is spent. Budgets are
those of the configuration; a cap that was raised for one period is given as ε.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from dpdau.errors import InvalidValueError
from dpdau.model.calendar import Calendar, Period
from dpdau.model.counting import Counting
from dpdau.model.releases import Metric
from dpdau.pipeline.budget import BudgetRules
from dpdau.pipeline.rules import MetricRules
from dpdau.privacy.forecasts import Forecast
from dpdau.privacy.planner import forecast
from dpdau.privacy.questions import Question, TargetError
from dpdau.privacy.strategy import Presence

__all__ = ["PlanRequest", "Planned", "Planner"]

_FEWEST_FLIPS = 2


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What to plan for; what is left out is as configured.

    Attributes:
        users: how many are expected to be counted on a typical day.
        metric: what is counted.
        target_error: the standard error that is wanted, `1%` or a number of users; None for none.
        epsilon: what the period's values may cost; by default the metric's budget.
        delta: the δ that belongs to it.
        period: the period's name; by default the current one.
        days: the length of the period, in place of its name.
        window_days: the trailing days counted.
        flips: how often one user's presence in a continual series may change.
    """

    users: int
    metric: Metric = Metric.DAU
    target_error: str | None = None
    epsilon: float | None = None
    delta: float | None = None
    period: str | None = None
    days: int | None = None
    window_days: int | None = None
    flips: int | Literal["unbounded"] | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan and what it is compared with.

    Attributes:
        period: the period's name; None if only its length was given.
        series_window_days: the window that the metric's series has as configured.
        forecast: question and answer.
    """

    period: str | None
    series_window_days: int
    forecast: Forecast


class Planner:
    """Answers questions about errors and budgets, for the product as it is configured."""

    def __init__(
        self,
        calendar: Calendar,
        budget: BudgetRules,
        rules: Mapping[Metric, MetricRules],
        sketches: Sequence[Counting],
    ) -> None:
        """Plan with the budgets, rules and other ways to count that are configured.

        Args:
            calendar: names the periods.
            budget: what may be spent.
            rules: of every metric.
            sketches: the ways to count that are compared.
        """
        self._calendar = calendar
        self._budget = budget
        self._rules = rules
        self._sketches = sketches

    def plan(self, request: PlanRequest) -> Planned:
        """The expected errors of all mechanisms and what a target needs.

        Raises:
            InvalidValueError: naming the value that cannot be planned with.
        """
        rules = self._rules[request.metric]
        period, days = self._length(request)
        cap = self._budget.caps[request.metric]
        target = None if request.target_error is None else TargetError.parse(request.target_error)
        question = Question(
            metric=request.metric,
            window_days=_given(request.window_days, rules.window_days),
            users=request.users,
            days=days,
            presence=Presence.of(days, _runs(request, rules)),
            epsilon=_given(request.epsilon, cap),
            delta=_given(request.delta, self._budget.delta),
            series_share=rules.series_epsilon / cap,
            release_epsilon=rules.epsilon,
            advanced_delta=self._budget.advanced_delta,
            target=target,
            counting=rules.counting,
            alternatives=tuple(each for each in self._sketches if each != rules.counting),
        )
        return Planned(period, rules.window_days, forecast(question))

    def _length(self, request: PlanRequest) -> tuple[str | None, int]:
        if request.days is None:
            today = self._calendar.today()
            period = (
                self._calendar.period_of(today)
                if request.period is None
                else Period.named(request.period)
            )
            return period.name, period.days
        if request.period is not None:
            raise InvalidValueError("days", request.days, "not to stand beside a period")
        return None, request.days


def _runs(request: PlanRequest, rules: MetricRules) -> int | None:
    """⌊w/2⌋ runs for w flips, counted from absence before the first day."""
    if request.flips is None:
        return rules.presence_runs
    if isinstance(request.flips, str):
        return None
    if request.flips < _FEWEST_FLIPS:
        expected = f"a whole number of at least {_FEWEST_FLIPS}, or unbounded"
        raise InvalidValueError("flips", request.flips, expected)
    return request.flips // 2


_T = TypeVar("_T")


def _given(value: _T | None, configured: _T) -> _T:
    return configured if value is None else value
