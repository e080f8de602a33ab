"""What is published, how, and for how much: values, one set per metric."""

from dataclasses import dataclass

from dpdau.model.counting import Counting
from dpdau.model.releases import Mechanism, Metric

__all__ = ["MetricRules"]


@dataclass(frozen=True, slots=True)
class MetricRules:
    """How one metric is released.

    Attributes:
        metric: which one.
        window_days: the trailing days that its series counts; 1 for DAU.
        mechanism: how its values are made private.
        epsilon: ε of one on-demand release.
        delta: δ of one on-demand release under Gaussian noise, and of the series.
        series_epsilon: ε of a whole period's series.
        presence_runs: the most runs of presence that are counted per user and period in the
            series, or None for no limit.
        counting: how users are counted.
    """

    metric: Metric
    window_days: int
    mechanism: Mechanism
    epsilon: float
    delta: float
    series_epsilon: float
    presence_runs: int | None
    counting: Counting
