"""What is published: metrics, releases, and how each is named."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import msgspec

from dpdau.errors import UnknownMetricError

__all__ = [
    "Mechanism",
    "Metric",
    "Release",
    "ReleaseKey",
    "SeriesKey",
    "SketchKind",
    "metric_named",
]


class Metric(StrEnum):
    """What is counted."""

    DAU = "dau"
    MAU = "mau"


def metric_named(name: str) -> Metric:
    """The metric with that name.

    Raises:
        UnknownMetricError: if there is none.
    """
    try:
        return Metric(name)
    except ValueError:
        raise UnknownMetricError(name) from None


class Mechanism(StrEnum):
    """How a value is made private."""

    CONTINUAL = "continual"
    LAPLACE = "laplace"
    GAUSSIAN = "gaussian"
    INTRINSIC = "intrinsic"


class SketchKind(StrEnum):
    """How distinct users are counted."""

    SET = "set"
    THETA = "theta"
    HLLPP = "hllpp"


@dataclass(frozen=True, slots=True, order=True)
class ReleaseKey:
    """The question that a release answers; the same question always gets the same answer.

    Attributes:
        metric: what is counted.
        window_days: the trailing days counted, end day included; 1 for DAU.
        day: the last day of the window.
        revision: 0 for the first answer, 1, 2, … for later corrections.
    """

    metric: Metric
    window_days: int
    day: date
    revision: int = 0

    @property
    def release_id(self) -> str:
        """The key as text: `mau-30d-2025-10-07`, with `-r1` for the first revision."""
        suffix = f"-r{self.revision}" if self.revision else ""
        return f"{self.metric}-{self.window_days}d-{self.day}{suffix}"


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """A series that is released continually over one period.

    Attributes:
        metric: what is counted.
        window_days: the trailing days counted.
        period: the accounting period's name.
    """

    metric: Metric
    window_days: int
    period: str

    @property
    def series_id(self) -> str:
        """The key as text: `mau-30d-2025-10`."""
        return f"{self.metric}-{self.window_days}d-{self.period}"


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """One published value with its error and its price; all of it may be seen by anyone.

    Attributes:
        release_id: the key as text.
        metric: what is counted.
        window_days: the trailing days counted.
        day: the last day of the window.
        revision: 0 for the first answer.
        period: the accounting period that pays.
        estimate: the non-negative integer to quote.
        estimate_raw: the unbiased value before rounding and clamping.
        std_error: standard error of estimate_raw, in users.
        lower_95: lower end of the two-sided 95 % interval, in users.
        upper_95: upper end.
        band_lower_95: lower end of the band that holds for all days of the period at once with
            95 %; None outside a continual series.
        band_upper_95: upper end of that band.
        epsilon: what this release cost by itself; in a continual series, what the whole series
            of the period costs.
        delta: the δ that belongs to it.
        mechanism: how it was made private.
        sketch: how users were counted.
        sensitivity: by how much one user can change the count before noise; None for `hllpp`,
            whose count is private by itself.
        log2_registers: the size of an `hllpp` sketch; None for others.
        charge: the mechanism's parameters as the accountant takes them; None where the charge
            stands on the series' plan.
        measurement: the noisy integer that was drawn; in a continual series, the row's.
        plan_id: the plan of a continual series, else None.
        released_at: when it was published, in UTC.
        epsilon_cap: the cap that was in force when it was charged; None where `charge` is.
    """

    release_id: str
    metric: Metric
    window_days: int
    day: date
    revision: int
    period: str
    estimate: int
    estimate_raw: float
    std_error: float
    lower_95: float
    upper_95: float
    band_lower_95: float | None = None
    band_upper_95: float | None = None
    epsilon: float
    delta: float
    mechanism: Mechanism
    sketch: SketchKind
    sensitivity: int | None
    log2_registers: int | None = None
    charge: dict[str, Any] | None
    measurement: int
    plan_id: str | None = None
    released_at: datetime
    epsilon_cap: float | None = None
