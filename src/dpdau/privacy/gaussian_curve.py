"""The exact privacy curve of the Gaussian mechanism.

Noise N(0, σ²I) on a query whose value moves by at most Δ in Euclidean norm has, with μ = Δ/σ,

    δ(ε) = Φ(μ/2 − ε/μ) − e^ε Φ(−μ/2 − ε/μ)

and no smaller δ (Balle & Wang 2018, Theorem 8, arXiv 1805.06530; μ-GDP in Dong, Roth & Su 2019,
arXiv 1905.02383). With u = ε/μ − μ/2, w = ε/μ + μ/2 and the Mills ratio m(x) = Φ(−x)/φ(x), the
identity w² − u² = 2ε turns it into δ = φ(u)·(m(u) − m(w)), in which nothing overflows.

Rounding is outward: every δ is multiplied by one plus a bound on its own floating-point error, ε
is the upper end and μ the lower end of a bracket at which that enlarged δ is on the safe side.
Values of δ below the smallest float come out as 0.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import erfcx, ndtr

from dpdau.errors import InvalidValueError

__all__ = ["bisect", "gaussian_delta", "gaussian_epsilon", "gaussian_log_delta", "gaussian_mu"]

_UNIT_ROUNDOFF = 2.0**-52
_QUADRATURE_BELOW_MU = 0.5
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_PHI_0 = 1 / math.sqrt(2 * math.pi)


def gaussian_delta(mu: float, epsilon: float) -> float:
    """The smallest δ for which μ-Gaussian noise is (ε, δ)-DP, rounded up.

    Args:
        mu: sensitivity divided by σ, ≥ 0.
        epsilon: may be negative, where the curve is still defined.
    """
    return math.exp(gaussian_log_delta(mu, epsilon))


def gaussian_log_delta(mu: float, epsilon: float) -> float:
    """The natural logarithm of `gaussian_delta`, rounded up and at most 0; −∞ where δ is 0."""
    if not 0 <= mu < math.inf:
        raise InvalidValueError("mu", mu, "a finite number of at least 0")
    if epsilon < 0:
        # δ(ε) − e^ε·δ(−ε) = 1 − e^ε, because the noise is symmetric.
        mirrored = math.exp(epsilon + gaussian_log_delta(mu, -epsilon))
        return min(0.0, math.log(-math.expm1(epsilon) + mirrored) + 1e-15)
    if mu == 0:
        return -math.inf
    near, far = epsilon / mu - mu / 2, epsilon / mu + mu / 2
    # near carries an absolute error of about one ulp of ε/μ + μ/2, which the exponent −near²/2
    # multiplies by near; the rest of the formula is good to 1e-13.
    error = 1e-12 + 4 * _UNIT_ROUNDOFF * far * (1 + max(near, 0.0))
    if near < -1:
        density = _PHI_0 * math.exp(-near * near / 2)
        return min(0.0, math.log(ndtr(-near) - density * _mills(far)) + error)
    if mu < _QUADRATURE_BELOW_MU:
        gap = _mills_difference(epsilon / mu, mu)
    else:
        gap = _mills(near) - _mills(far)
    # The gap cancels altogether only where e^{−near²/2} is far below the smallest float.
    return min(0.0, -near * near / 2 + math.log(_PHI_0 * max(gap, 1e-300)) + error)


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The smallest ε ≥ 0 for which μ-Gaussian noise is (ε, δ)-DP, rounded up.

    Args:
        mu: sensitivity divided by σ, ≥ 0.
        delta: in [0, 1]; at 0 the answer is infinite unless mu is 0.
    """
    log_delta = _log_of_delta(delta)
    if gaussian_log_delta(mu, 0.0) <= log_delta:
        return 0.0
    if delta == 0:
        return math.inf
    # δ ≤ Φ(−u) ≤ e^{−u²/2}, so this ε, at which u = √(2 ln 1/δ), is enough.
    enough = mu * mu / 2 + mu * math.sqrt(-2 * log_delta)
    return bisect(lambda epsilon: gaussian_log_delta(mu, epsilon) <= log_delta, 0.0, 2 * enough)


def gaussian_mu(epsilon: float, delta: float) -> float:
    """The largest μ for which μ-Gaussian noise is (ε, δ)-DP, rounded down.

    Args:
        epsilon: ≥ 0.
        delta: in [0, 1); at 0 the answer is 0.

    Raises:
        InvalidValueError: also if delta is 1, where every μ would do.
    """
    if not 0 <= epsilon < math.inf:
        raise InvalidValueError("epsilon", epsilon, "a finite number of at least 0")
    log_delta = _log_of_delta(delta)
    if delta in (0, 1):
        if delta == 0:
            return 0.0
        raise InvalidValueError("delta", delta, "a number below 1")
    # Inverted: the smallest 1/μ that is private, so that one search serves both directions.
    private = 1.0
    while gaussian_log_delta(1 / private, epsilon) > log_delta:
        private *= 2
    inverse = bisect(lambda x: gaussian_log_delta(1 / x, epsilon) <= log_delta, 0.0, private)
    return 1 / inverse * (1 - 2 * _UNIT_ROUNDOFF)


def bisect(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The smallest float above `low` at which a monotone condition holds.

    Args:
        holds: False up to some point, True from there on; never called with `low`.
        low: below that point.
        high: where the condition is known to hold.

    Returns:
        A float at which the condition was seen to hold, or `high`.
    """
    while low < (middle := low + (high - low) / 2) < high:
        if holds(middle):
            high = middle
        else:
            low = middle
    return high


def _mills(x: float) -> float:
    return math.sqrt(math.pi / 2) * float(erfcx(x / math.sqrt(2)))


def _mills_difference(centre: float, width: float) -> float:
    """m(centre − width/2) − m(centre + width/2), as the integral of −m'(x) = 1 − x·m(x).

    Subtracting the two would cancel all digits for small widths.
    """
    points = centre + width / 2 * _NODES
    slopes = 1 - points * math.sqrt(math.pi / 2) * erfcx(points / math.sqrt(2))
    return float(_WEIGHTS @ slopes) * width / 2


def _log_of_delta(delta: float) -> float:
    if not 0 <= delta <= 1:
        raise InvalidValueError("delta", delta, "a number from 0 to 1")
    return math.log(delta) if delta > 0 else -math.inf
