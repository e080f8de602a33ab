"""Two-sided intervals of noisy counts."""

import math
from dataclasses import dataclass

from scipy.special import ndtri

from dpdau.privacy.checks import require_number, require_probability

__all__ = ["Interval", "interval"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A range of counts, both ends included.

    Attributes:
        lower: ≥ 0.
        upper: ≥ lower.
    """

    lower: float
    upper: float


def interval(
    estimate: float,
    half_width: float,
    relative_standard_error: float = 0.0,
    coverage: float = 0.95,
) -> Interval:
    """The two-sided interval around a noisy count, clamped to counts.

    The error of a sketch is independent of the noise, so the two half-widths add as
    √(half_width² + (z·relative_standard_error·estimate)²), z the normal quantile of the
    coverage. That is exact for two normal errors; with Laplace noise up to half a percent more is
    covered. The relative error multiplies the noisy estimate, never the true count,
    so the ends are post-processing of what is published anyway.

    Args:
        estimate: the unbiased noisy count; may be negative.
        half_width: of the noise alone, at the same coverage.
        relative_standard_error: of the sketch, as a share of the count; must not depend on data.
        coverage: between 0 and 1.
    """
    require_probability("coverage", coverage)
    require_number("relative_standard_error", relative_standard_error, 0, math.inf)
    quantile = float(ndtri((1 + coverage) / 2))
    sketch_half_width = quantile * relative_standard_error * max(estimate, 0.0)
    half_width = math.hypot(half_width, sketch_half_width)
    return Interval(max(estimate - half_width, 0.0), max(estimate + half_width, 0.0))
