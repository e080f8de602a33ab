"""What changes with the population, with the bound on flips, with the days of a period, and by day."""

from _statistics import interval, named
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np

from _accuracy import run_case
from _cases import Case, Source, Way
from _experiment import run_trials
from _pipeline import Lived, live_through
from dpdau.config import load_settings
from dpdau.model.calendar import Period, PeriodKind
from dpdau.model.releases import Mechanism, Metric
from dpdau.privacy.strategy import Presence, make_plan

__all__ = ["by_day", "by_flips", "by_population", "certificates"]

_DEFAULT_METRICS = tuple(Metric)
_FLIPS: dict[Metric, tuple[int | None, ...]] = {
    Metric.DAU: (2, 4, 6, None),
    Metric.MAU: (2, 4, 6, None),
}
_CERTIFIED = ((Metric.DAU, None), (Metric.MAU, 2), (Metric.MAU, 4), (Metric.MAU, 6))
_MONTH_LENGTHS = (28, 30, 31)
_NAIVE: dict[str, Any] = {"mechanism_dau": Mechanism.LAPLACE, "mechanism_mau": Mechanism.LAPLACE}


def by_population(
    source: Source, ways: Sequence[Way], populations: Sequence[int], trials: int
) -> Iterator[dict[str, Any]]:
    """Rows of the table `population`: the relative error by how many people there are."""
    cases = [
        Case(replace(source, users=users), way, _DEFAULT_METRICS)
        for users in populations
        for way in ways
    ]
    tasks = [case for case in cases for _ in range(trials)]
    found = iter(run_trials(run_case, tasks, label="Populations"))
    for case in cases:
        months = [next(found) for _ in range(trials)]
        for metric in case.metrics:
            errors = [month[metric] for month in months]
            shares = [float(np.sqrt((each.total**2).mean()) / each.truth.mean()) for each in errors]
            yield {
                "metric": metric.value,
                "mechanism": case.way.mechanism.value,
                "users": float(np.mean([each.truth.mean() for each in errors])),
                **named("relative_error", interval(shares)),
            }


def by_flips(source: Source) -> Iterator[dict[str, Any]]:
    """Rows of the table `flips`: what a bound on flips costs in people who are not counted."""
    tasks = [(source, metric, flips) for metric, bounds in _FLIPS.items() for flips in bounds]
    yield from run_trials(_with_flips, tasks, label="Bounds on flips")


def _with_flips(task: tuple[Source, Metric, int | None]) -> dict[str, Any]:
    source, metric, flips = task
    month = source.month()
    settings = {f"w_bound_{metric}": "unbounded" if flips is None else flips}
    values = list(
        live_through(
            source.activity(), settings, start=month.first, end=month.last, metrics=[metric]
        )
    )
    errors = np.array([value.release.std_error for value in values])
    missed = [value.stored_count - value.counted for value in values]
    return {
        "metric": metric.value,
        "w": flips,
        "epsilon": values[-1].release.epsilon,
        "std_error": float(np.sqrt((errors**2).mean())),
        "limiter_bias": float(np.mean(missed)),
        "users": float(np.mean([value.true_count for value in values])),
    }


def certificates() -> Iterator[dict[str, Any]]:
    """Rows of the table `certificate`: how far plans are from what is proven to be the best."""
    settings = load_settings()
    for metric, flips in _CERTIFIED:
        for days in _MONTH_LENGTHS:
            presence = Presence.of(days, None if flips is None else flips // 2)
            plan = make_plan(days, presence, 1.0, settings.delta)
            yield {
                "metric": metric.value,
                "days": days,
                "w": flips,
                "primal": plan.primal,
                "dual": plan.dual,
                "gap": plan.gap,
            }


def by_day(source: Source) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the tables `month` and `budget`: two months as they go by, at default settings.

    The second table also has releases of single days, at the default ε each, until the budget of a
    month is used up.
    """
    last = source.month()
    first = Period.containing(last.first.replace(day=1) - timedelta(days=1), PeriodKind.MONTH)
    start = max(first.first, source.activity().first_day)
    month: list[dict[str, Any]] = []
    budget: list[dict[str, Any]] = []
    for settings in ({}, _NAIVE):
        values = list(live_through(source.activity(), settings, start=start, end=last.last))
        month += [_value(source, lived) for lived in values]
        budget += [_spent(lived) for lived in values]
    return month, budget


def _value(source: Source, lived: Lived) -> dict[str, Any]:
    release = lived.release
    return {
        "activity": source.activity().name,
        "metric": release.metric.value,
        "mechanism": release.mechanism.value,
        "sketch": release.sketch.value,
        "day": release.day.isoformat(),
        "true_count": lived.true_count,
        "estimate": release.estimate,
        "std_error": release.std_error,
        "lower_95": release.lower_95,
        "upper_95": release.upper_95,
    }


def _spent(lived: Lived) -> dict[str, Any]:
    release = lived.release
    return {
        "metric": release.metric.value,
        "mechanism": release.mechanism.value,
        "day": release.day.isoformat(),
        "period": release.period,
        "epsilon_spent": lived.epsilon_spent,
        "epsilon_cap": lived.epsilon_cap,
    }
