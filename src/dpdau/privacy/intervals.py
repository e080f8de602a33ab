"""Two-sided intervals of noisy counts."""

import math
from dataclasses import dataclass

from scipy.special import ndtri

from dpdau.model.counting import CountVariance
from dpdau.privacy.checks import require_probability

__all__ = ["Interval", "interval"]

_EXACT = CountVariance()


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
    variance: CountVariance = _EXACT,
    coverage: float = 0.95,
) -> Interval:
    """The two-sided interval around a noisy count, clamped to counts.

    It holds every true number N ≥ 0 that the estimate x does not contradict (a score interval,
    after Wilson 1927): with h the noise's half width, V(N) the sketch's variance, independent of
    the noise, and z the normal quantile of the coverage,

        (x − N)² ≤ h² + z²·V(N).

    V is a polynomial of degree two, so the ends are the roots of a quadratic. Adding squares is
    exact for two normal errors; with Laplace noise up to half a percent more is covered. The ends
    are post-processing of the estimate; no true count enters.

    Args:
        estimate: the unbiased noisy count; may be negative.
        half_width: of the noise alone, at the same coverage.
        variance: of the sketch, its quadratic part below 1/z²; must not depend on data.
        coverage: between 0 and 1.
    """
    require_probability("coverage", coverage)
    squared_quantile = float(ndtri((1 + coverage) / 2)) ** 2
    # (1 − z²q)·N² − 2·middle·N + x² − h² − z²c ≤ 0; with V = 0 this is |N − x| ≤ h.
    leading = 1 - squared_quantile * variance.quadratic
    middle = estimate + squared_quantile * variance.linear / 2
    room = half_width**2 + squared_quantile * variance.constant
    # middle² − leading·(x² − room), without subtracting squares of x.
    discriminant = (
        (middle - estimate) * (middle + estimate)
        + squared_quantile * variance.quadratic * estimate**2
        + leading * room
    )
    spread = math.sqrt(max(discriminant, 0.0))
    return Interval(max((middle - spread) / leading, 0.0), max((middle + spread) / leading, 0.0))
