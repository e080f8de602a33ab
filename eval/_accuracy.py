"""How far published values are from the truth, why, and how sure that is.

The trials of a case are independent repetitions of one month. Every figure is first computed for
each trial; its 95 % interval is Student's over the trials, so values of one month may depend on each
other as they like.
"""

import math
from _statistics import clipped, interval, named
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from _cases import Case
from _pipeline import Lived, live_through
from dpdau.model.calendar import Period
from dpdau.model.releases import Mechanism, Metric, SketchKind

__all__ = ["Errors", "Trial", "run_case", "summary"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Errors:
    """One month of one metric: a value a day.

    Attributes:
        truth: T true numbers of users.
        noise: T parts of the errors that noise makes.
        limiter: T parts that the limiter of flips makes, 0 or less.
        sketch: T parts that counting itself makes.
        is_covered: T booleans, whether the 95 % interval held the truth.
        window_days: the trailing days counted.
        epsilon: what the month has cost by its end, at δ.
        delta: that δ.
    """

    truth: Array
    noise: Array
    limiter: Array
    sketch: Array
    is_covered: NDArray[np.bool_]
    window_days: int
    epsilon: float
    delta: float

    @classmethod
    def of(cls, values: Sequence[Lived]) -> "Errors":
        """The errors of the values of one metric, in the order of their days."""
        release = values[-1].release
        # HyperLogLog has no noise beside its own, so all of its error is the sketch's.
        sketch_is_noise = release.sketch is SketchKind.HLLPP
        counted = [
            each.release.estimate_raw if sketch_is_noise else each.counted for each in values
        ]
        stored = [
            each.release.estimate_raw if sketch_is_noise else each.stored_count for each in values
        ]
        raw = np.array([each.release.estimate_raw for each in values], dtype=float)
        truth = np.array([each.true_count for each in values], dtype=float)
        return cls(
            truth=truth,
            noise=raw - np.array(counted, dtype=float),
            limiter=np.array(counted, dtype=float) - np.array(stored, dtype=float),
            sketch=np.array(stored, dtype=float) - truth,
            is_covered=np.array([each.is_covered for each in values]),
            window_days=release.window_days,
            epsilon=values[-1].epsilon_spent,
            delta=release.delta,
        )

    @property
    def total(self) -> Array:
        """T differences between the unbiased value and the truth."""
        return self.noise + self.limiter + self.sketch


Trial = dict[Metric, Errors]


def run_case(case: Case) -> Trial:
    """Publish a month, for real."""
    month = case.source.month()
    values: dict[Metric, list[Lived]] = {metric: [] for metric in case.metrics}
    settings = dict(case.way.settings)
    activity = case.source.activity()
    for lived in live_through(
        activity, settings, start=month.first, end=month.last, metrics=case.metrics
    ):
        values[lived.release.metric].append(lived)
    return {metric: Errors.of(found) for metric, found in values.items()}


def summary(
    case: Case, month: Period, trials: Sequence[Trial], flips: dict[Metric, int | None]
) -> Iterator[dict[str, Any]]:
    """A row a metric of the table `accuracy`.

    Args:
        case: what was tried.
        month: its days.
        trials: what came of it.
        flips: the bound on flips of a continual series, by metric.
    """
    for metric in case.metrics:
        months = [trial[metric] for trial in trials]
        users = float(np.mean([each.truth.mean() for each in months]))
        squares = interval([float((each.total**2).mean()) for each in months])
        rmse = tuple(math.sqrt(max(0.0, each)) for each in squares)
        is_series = case.way.mechanism is Mechanism.CONTINUAL
        yield {
            "activity": case.source.activity().name,
            "metric": metric.value,
            "window_days": months[0].window_days,
            "users": users,
            "days": month.days,
            "sketch": case.way.sketch.value,
            "mechanism": case.way.mechanism.value,
            "epsilon": case.way.epsilon,
            "w": flips[metric] if is_series else None,
            "trials": len(trials),
            "values": sum(len(each.truth) for each in months),
            **named("rmse", rmse),
            **named("relative_error", tuple(each / users for each in rmse)),
            **named("bias", interval([float(each.total.mean()) for each in months])),
            **named("bias_noise", interval([float(each.noise.mean()) for each in months])),
            **named("bias_limiter", interval([float(each.limiter.mean()) for each in months])),
            **named("bias_sketch", interval([float(each.sketch.mean()) for each in months])),
            **named("coverage", clipped(interval([each.is_covered.mean() for each in months]))),
            "composed_epsilon": max(each.epsilon for each in months),
            "composed_delta": months[0].delta,
        }
