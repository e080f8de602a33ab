"""Intervals of the ratio of two noisy counts, from their published intervals."""

import math

from dpdau.privacy.intervals import Interval

__all__ = ["share_interval"]


def share_interval(part: float, part_half: float, whole: float, whole_half: float) -> Interval:
    """The two-sided interval around a share of one count in another, clamped to shares.

    Fieller's interval (1954). With estimates x̂ and ŷ of x and y, independent errors of half widths
    h and k, and r = x/y, the error of x̂ − r·ŷ has no other parameters left, so the interval holds
    every r in [0, 1] that the estimates do not contradict:

        (x̂ − r·ŷ)² ≤ h² + r²·k².

    Unlike the quotient's linearisation it is right however small y is: where ŷ ≤ k, the whole may
    be nobody, and the interval is all shares, 0 to 1. Where ŷ > k, its ends are the roots of

        (ŷ² − k²)·r² − 2·x̂·ŷ·r + x̂² − h² = 0.

    Coverage is that of h and k:

    - Normal errors: adding squares is exact, whatever x and y.
    - Laplace errors: at 95 %, a·L₁ + b·L₂ with a² + b² = 1 exceeds L's own half width with
      probability (a²e^(−t/a) − b²e^(−t/b))/(a² − b²) ≤ e^(−t), t = ln 20, so more is covered.
    - One of each: up to half a percent more is covered.
    - Errors of hash samples are shared: whoever is in the part is in the whole and in both samples
      or in neither. Their covariance is positive and would take 2r·Cov off the right side, so
      leaving it out is conservative.

    Everything here is post-processing of published values and costs nothing.

    Args:
        part: unbiased noisy count of the part; may be negative.
        part_half: its half width, ≥ 0.
        whole: unbiased noisy count of the whole; may be negative.
        whole_half: its half width at the same coverage, ≥ 0.
    """
    if whole <= whole_half:
        return Interval(0.0, 1.0)
    # All in units of ŷ, in which the quadratic is (1 − k²)·r² − 2·x̂·r + x̂² − h² = 0.
    part, part_half, whole_half = part / whole, part_half / whole, whole_half / whole
    leading = (1 - whole_half) * (1 + whole_half)
    # x̂² − leading·(x̂² − h²), without subtracting large squares.
    spread = math.sqrt((part * whole_half) ** 2 + leading * part_half**2)
    return Interval(_share((part - spread) / leading), _share((part + spread) / leading))


def _share(number: float) -> float:
    return min(max(number, 0.0), 1.0)
