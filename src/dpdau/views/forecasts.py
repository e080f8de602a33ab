"""Forecasts: what accuracy a budget buys, and what budget an accuracy needs."""

import math
from collections.abc import Iterator

from pydantic import Field

from dpdau.model import wording
from dpdau.model.counting import CountVariance
from dpdau.model.releases import Mechanism, Metric, SketchKind
from dpdau.pipeline.planning import Planned
from dpdau.privacy.forecasts import Forecast, MechanismForecast, SketchForecast
from dpdau.privacy.questions import Question, TargetError
from dpdau.views.base import View

__all__ = ["ForecastView", "MechanismForecastView", "SketchForecastView"]

_NAMES = {
    Mechanism.CONTINUAL: "a continual series",
    Mechanism.GAUSSIAN: "Gaussian noise for each release",
    Mechanism.LAPLACE: "Laplace noise for each release",
    Mechanism.INTRINSIC: "HyperLogLog's own randomness for each release",
}


class MechanismForecastView(View):
    """What one way of publishing would give."""

    mechanism: Mechanism
    std_error: float = Field(description="Standard error of a day's value, in users.")
    relative_error: float = Field(description="The same as a share of the users.")
    half_width_95: float = Field(description="Half of a day's 95 % interval, in users.")
    epsilon_spent: float = Field(description="What all values of the period cost together.")
    epsilon_per_release: float | None = Field(
        description="The ε of one release at which the budget pays for every day; "
        "null for a continual series, which is paid as one."
    )
    epsilon_for_target: float | None = Field(
        description="The period's ε that the target error needs; null without a target, or if no "
        "ε up to 50 is enough."
    )
    publishable_days: int = Field(
        description="How many days the budget pays for at the configured ε of one release."
    )

    @classmethod
    def of(cls, forecast: MechanismForecast) -> "MechanismForecastView":
        """The view of one mechanism's forecast."""
        return cls(
            mechanism=forecast.mechanism,
            std_error=forecast.std_error,
            relative_error=forecast.relative_error,
            half_width_95=forecast.half_width_95,
            epsilon_spent=forecast.spent_epsilon,
            epsilon_per_release=forecast.release_epsilon,
            epsilon_for_target=forecast.epsilon_for_target,
            publishable_days=forecast.publishable_days,
        )


class SketchForecastView(View):
    """What one way to count would give for the same budget, with the mechanism best for it."""

    sketch: SketchKind
    sampling_rate: float = Field(description="The share of users that is stored.")
    registers: int | None = Field(description="Of an hllpp sketch; null for others.")
    std_error: float = Field(description="Standard error of a day's value, in users.")
    relative_error: float = Field(description="The same as a share of the users.")
    stored_users: int = Field(description="How many of a day's users are stored.")
    day_bytes: int = Field(
        description="The most that a day's membership takes, on disk and in memory."
    )
    release_bytes: int = Field(description="What a release needs besides.")

    @classmethod
    def of(cls, forecast: SketchForecast) -> "SketchForecastView":
        """The view of one sketch's forecast."""
        log2_registers = forecast.counting.log2_registers
        return cls(
            sketch=forecast.counting.kind,
            sampling_rate=2.0**-forecast.counting.exponent,
            registers=2**log2_registers if log2_registers else None,
            std_error=forecast.std_error,
            relative_error=forecast.relative_error,
            stored_users=forecast.stored_users,
            day_bytes=forecast.day_bytes,
            release_bytes=forecast.release_bytes,
        )


class ForecastView(View):
    """What each way of publishing would give, before anything is spent."""

    metric: Metric
    window_days: int
    period: str | None = Field(description="Null if only a number of days was given.")
    days: int
    users: int = Field(description="How many are expected to be counted on a typical day.")
    runs: int | None = Field(
        description="How many runs of days a continual series counts one person in; null for all."
    )
    epsilon: float = Field(description="What all values of the period may cost together.")
    delta: float
    release_epsilon: float = Field(description="The configured ε of one release.")
    target_error: str | None = Field(description="The standard error asked for.")
    target_users: float | None = Field(description="The same as a number of users.")
    mechanisms: list[MechanismForecastView]
    sketch: SketchKind = Field(description="How users are counted in the mechanisms' figures.")
    sketches: list[SketchForecastView]
    recommended: Mechanism
    recommendation: str
    remarks: list[str]

    @classmethod
    def of(cls, planned: Planned) -> "ForecastView":
        """The view of a plan."""
        forecast = planned.forecast
        question = forecast.question
        target = question.target
        return cls(
            metric=question.metric,
            window_days=question.window_days,
            period=planned.period,
            days=question.days,
            users=question.users,
            runs=question.presence.runs,
            epsilon=question.epsilon,
            delta=question.delta,
            release_epsilon=question.release_epsilon,
            target_error=None if target is None else target.text,
            target_users=None if target is None else target.in_users(question.users),
            mechanisms=[MechanismForecastView.of(each) for each in forecast.mechanisms],
            sketch=question.counting.kind,
            sketches=[SketchForecastView.of(each) for each in forecast.sketches],
            recommended=forecast.best.mechanism,
            recommendation=_recommendation(forecast),
            remarks=list(_remarks(planned)),
        )


def _recommendation(forecast: Forecast) -> str:
    """One sentence: what to take, and why."""
    question, best = forecast.question, forecast.best
    name = _NAMES[best.mechanism]
    needed = best.epsilon_for_target
    if question.target is None or needed is None:
        others = _others(
            forecast, {each.mechanism: _users(each.std_error) for each in forecast.mechanisms}
        )
        return (
            f"Take {name}: its standard error of {_users(best.std_error)} "
            f"({_share(best.relative_error)}) is the smallest that "
            f"ε = {wording.rounded(question.epsilon)} buys for {_days(question)}{others}."
        )
    wanted = _wanted(question.target, question.users)
    if needed > question.epsilon:
        least = min(each.std_error for each in forecast.mechanisms)
        return (
            f"{wanted} cannot be reached below ε = {wording.rounded(needed)}, with {name}, and the "
            f"budget is ε = {wording.rounded(question.epsilon)}: raise it, or accept "
            f"{_users(least)}."
        )
    others = _others(
        forecast,
        {
            each.mechanism: f"ε = {wording.rounded(each.epsilon_for_target)}"
            for each in forecast.mechanisms
            if each.epsilon_for_target is not None
        },
    )
    return (
        f"Take {name}: {wanted} needs no more than ε = {wording.rounded(needed)} of the budget of "
        f"{wording.rounded(question.epsilon)} for {_days(question)}{others}."
    )


def _others(forecast: Forecast, figures: dict[Mechanism, str]) -> str:
    shown = [
        f"{figure} with {_NAMES[mechanism]}"
        for mechanism, figure in figures.items()
        if mechanism is not forecast.best.mechanism
    ]
    return f", against {' and '.join(shown)}" if shown else ""


def _remarks(planned: Planned) -> Iterator[str]:
    """What else is true of the recommended way."""
    forecast = planned.forecast
    question, best = forecast.question, forecast.best
    is_series = best.mechanism is Mechanism.CONTINUAL
    if best.std_error < 1:
        yield (
            f"At ε = {wording.rounded(question.epsilon)} the error is already below one user: "
            "less would do."
        )
    if is_series and question.presence.runs is not None:
        yield (
            f"The series counts one person in at most "
            f"{wording.count(question.presence.runs, 'run')} of days a period; whoever comes back "
            "more often is undercounted, which no error here includes."
        )
    if is_series and question.series_share < 1:
        yield (
            f"The series takes ε = {wording.rounded(best.spent_epsilon)} of the "
            f"{wording.rounded(question.epsilon)}; the rest is left for on-demand releases and "
            "revisions."
        )
    if not is_series and question.target is None:
        yield "The whole budget goes into these days: nothing is left for corrections."
    if is_series and question.window_days != planned.series_window_days:
        yield (
            f"The configured series counts {planned.series_window_days} days, so a window of "
            f"{question.window_days} days is released on demand until it is made the series' own."
        )
    if question.counting.kind is SketchKind.THETA:
        sample = math.sqrt(CountVariance.of_sample(question.counting.exponent).at(question.users))
        yield (
            f"One in {2**question.counting.exponent:,} users is stored: of the error, "
            f"{_users(sample)} come from that sample, whatever the budget, and the noise is "
            f"{2**question.counting.exponent:,} times that of exact counts."
        )
    is_hllpp = question.counting.kind is SketchKind.HLLPP
    if is_hllpp:
        yield (
            "hllpp stores every user, as exact counts do, and pays the same ε for less: it is for "
            "those who want no noise but the sketch's own."
        )
    has_gaussian = any(each.mechanism is Mechanism.GAUSSIAN for each in forecast.mechanisms)
    if not has_gaussian and not is_hllpp:
        yield (
            f"Gaussian noise for each release is left out: with δ = {question.delta:.2g} for each "
            f"of them, {_days(question)} exceed the budget however small their ε."
        )
    price = best.epsilon_for_target or question.epsilon
    yield f"What ε = {wording.rounded(price)} means to each person: {wording.odds(price)}."


def _wanted(target: TargetError, users: int) -> str:
    in_users = _users(target.in_users(users))
    return f"{target.text} ({in_users})" if target.is_relative else in_users


def _users(number: float) -> str:
    shown = f"{number:,.0f}" if number >= 100 else f"{number:.2g}"  # noqa: PLR2004 - few digits
    return f"{shown} {'user' if shown == '1' else 'users'}"


def _share(relative: float) -> str:
    return f"{100 * relative:.2g} %"


def _days(question: Question) -> str:
    return wording.count(question.days, "day")
