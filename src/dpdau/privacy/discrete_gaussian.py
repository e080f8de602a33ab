"""The discrete Gaussian N_ℤ(0, σ²): its sums, and proven bounds on its privacy.

Mass e^{−n²/2σ²}/S at every integer n, S = Σ e^{−n²/2σ²} (Canonne, Kamath & Steinke 2020, "CKS",
arXiv 2004.00010). Three upper bounds on the (ε, δ) of independent N_ℤ(0, σ²) on every coordinate
of an integer vector that moves by at most Δ in Euclidean norm; each is proven, so the best may be
taken:

1. Rényi: the divergence of order α is at most αΔ²/2σ², as for the Gaussian (CKS, Proposition 5).
2. In one dimension the curve is known exactly (CKS, Theorem 7).
3. Comparison with the rounded Gaussian, which makes the exact Gaussian curve usable for large σ.

**The comparison.** Let N be Gaussian with variance σ² and R = round(N), with mass r(n) against the
discrete Gaussian's q(n). Rounding m + N for an integer m is post-processing, and gives m + R: so
the mechanism with noise R obeys the exact Gaussian curve δ_G. With f(n) = e^{−n²/2σ²}/√(2π)σ and
cell averages over |x| ≤ ½,

    r(n)/f(n) = E[cosh(nx/σ²) e^{−x²/2σ²}]   lies between e^{−1/24σ²} (Jensen; E x² = 1/12)
                                                 and      e^{n²/24σ⁴}  (sinh(a)/a ≤ e^{a²/6}),
    f(n)/q(n) = S/√(2π)σ = 1 + 2 Σ_{k≥1} e^{−2π²σ²k²}  (Poisson)   lies between 1 and e^κ,

where e^κ = 1 + 2e^{−2π²σ²}/(1 − e^{−6π²σ²}). Hence over T coordinates q ≤ e^{η₁} r everywhere with
η₁ = T/24σ², and r(z) ≤ e^{η₂} q(z) wherever ‖z‖ ≤ σt, with η₂ = Tκ + t²/24σ². For a set A of
outputs, a shift v and Z ~ q, cutting A at ‖z − v‖ ≤ σt gives

    q(A) − e^ε q_v(A) ≤ q(‖Z − v‖ > σt) + e^{η₁} r(A') − e^{ε−η₂} r_v(A')
                      ≤ q(‖Z‖ > σt − Δ) + e^{η₁} δ_G(ε − η₁ − η₂).

The first term is at most e^{η₁} P[‖N‖ > σt − Δ − ½√T], and Gaussian concentration bounds it by
e^{η₁ − s²/2} for t = √T + s + ½√T/σ + Δ/σ. With s² = 2 ln(1/ζδ) and ζ = 1e-12 it takes a share ζ
of δ. At σ = 1e5 and T = 31 the price is η₁ + η₂ ≈ 1e-9.

**Adaptivity.** When rows are measured one after the other and later queries depend on earlier
answers, the same inequalities hold for the conditional mass of every row, hence for the products;
and the rounded Gaussian is post-processing of the adaptive Gaussian mechanism, whose curve is the
same as that of a single one (Denisov et al. 2022, arXiv 2202.08312, Theorem 2.1).

**Composition.** Several mechanisms with noise of their own add their η₁ and η₂, with ζδ split
evenly among them; mechanisms of other kinds composed with them are left as they are, because the
argument compares the whole products. See `discretisation`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from dpdau.privacy.checks import (
    SENSITIVITY_BITS,
    require_calibratable,
    require_count,
    require_noise,
    require_probability,
)
from dpdau.privacy.gaussian_curve import bisect, gaussian_epsilon, gaussian_log_delta, gaussian_mu
from dpdau.privacy.renyi import DENSE_ORDERS, renyi_epsilon

__all__ = [
    "Discretisation",
    "LatticeNoise",
    "composed_gaussian_epsilon",
    "composed_mu",
    "discrete_gaussian_epsilon",
    "discrete_gaussian_sigma",
    "discretisation",
    "half_width",
    "log_normaliser",
    "shift_delta",
    "standard_deviation",
]

_TAIL_SHARE = 1e-12
_EXACT_UP_TO_SIGMA = 4096.0
_REACH = 12.0
_COMPARED_FROM_SIGMA = 0.5


class LatticeNoise(NamedTuple):
    """Discrete Gaussian noise on an integer vector, and how far one user can move it.

    Attributes:
        sensitivity_squared: the largest squared Euclidean norm of the move, an integer.
        sigma: the parameter σ of the noise on every coordinate.
        dimension: how many coordinates.
    """

    sensitivity_squared: int
    sigma: float
    dimension: int

    def repeated(self, count: int) -> "LatticeNoise":
        """The noise of this many measurements, seen as one longer vector."""
        return LatticeNoise(self.sensitivity_squared * count, self.sigma, self.dimension * count)


class Discretisation(NamedTuple):
    """What replacing discrete by continuous Gaussian noise costs in an (ε, δ) statement.

    Attributes:
        epsilon: to add to ε.
        log_delta: to subtract from ln δ before the continuous curve is asked.
    """

    epsilon: float
    log_delta: float


def discretisation(noises: Sequence[LatticeNoise], delta: float) -> Discretisation:
    """The price of treating all of these noises, measured together, as continuous.

    Formal guarantees:
        If the composition of Gaussian mechanisms with these σ and sensitivities (and any other
        mechanisms) is (ε, δ·e^{−log_delta})-DP, then with discrete Gaussian noise it is
        (ε + epsilon, δ)-DP. Proof: the module's docstring.
    """
    gain = sum(noise.dimension / (24 * noise.sigma**2) for noise in noises)
    tail = math.sqrt(2 * (math.log(len(noises) / _TAIL_SHARE) - math.log(delta)))
    loss = sum(_loss_within(noise, tail) for noise in noises)
    return Discretisation(gain + loss, gain - math.log1p(-_TAIL_SHARE))


def _loss_within(noise: LatticeNoise, tail: float) -> float:
    """η₂ of one noise."""
    sensitivity_squared, sigma, dimension = noise
    if sigma < _COMPARED_FROM_SIGMA:
        return math.inf
    waves = 2 * math.exp(-2 * (math.pi * sigma) ** 2) / -math.expm1(-6 * (math.pi * sigma) ** 2)
    reach = math.sqrt(dimension) * (1 + 0.5 / sigma) + tail + math.sqrt(sensitivity_squared) / sigma
    return dimension * math.log1p(waves) + (reach / sigma) ** 2 / 24


def discrete_gaussian_epsilon(
    sensitivity_squared: int, sigma: float, dimension: int, delta: float
) -> float:
    """An ε for which discrete Gaussian noise is (ε, δ)-DP, rounded up.

    Formal guarantees:
        Unit: whatever moves the query; neighbours: two integer vectors of length `dimension`
        whose difference has squared norm at most `sensitivity_squared`. With independent
        N_ℤ(0, σ²) on every coordinate the answer is (ε, δ)-DP, also if rows are measured
        adaptively. The smallest of three proven bounds; in one dimension exact up to σ = 4096.

    Args:
        sensitivity_squared: 1 to 2^128.
        sigma: 1e-30 to 1e30.
        dimension: 1 to 2^64.
        delta: between 0 and 1.
    """
    require_count("sensitivity_squared", sensitivity_squared, 2 * SENSITIVITY_BITS)
    require_noise("sigma", sigma)
    require_count("dimension", dimension, SENSITIVITY_BITS)
    require_probability("delta", delta)
    noise = LatticeNoise(sensitivity_squared, sigma, dimension)
    if _is_private(noise, 0.0, delta):
        return 0.0
    enough = _renyi_bound(noise, delta)
    return bisect(lambda epsilon: _is_private(noise, epsilon, delta), 0.0, enough)


def composed_gaussian_epsilon(noises: Sequence[LatticeNoise], delta: float) -> float:
    """An ε for which measurements with all of these noises together are (ε, δ)-DP, rounded up.

    Formal guarantees:
        As `discrete_gaussian_epsilon`, by the comparison with rounded Gaussians alone: the
        squares of Δ/σ add up. Infinite if some σ is too small to compare.

    Args:
        noises: at least one.
        delta: in (0, 1).
    """
    price = discretisation(noises, delta)
    if price.epsilon == math.inf:
        return math.inf
    mu = composed_mu(noises)
    return gaussian_epsilon(mu, delta * math.exp(-price.log_delta)) + price.epsilon


def composed_mu(noises: Sequence[LatticeNoise]) -> float:
    """The μ of the Gaussian mechanism that equals all of these together, were they continuous."""
    return math.sqrt(sum(noise.sensitivity_squared / noise.sigma**2 for noise in noises))


def discrete_gaussian_sigma(
    sensitivity_squared: int, dimension: int, epsilon: float, delta: float
) -> float:
    """The smallest σ for which discrete Gaussian noise is known to be (ε, δ)-DP, rounded up.

    Formal guarantees:
        As `discrete_gaussian_epsilon`, which at the σ returned is at most ε.

    Args:
        sensitivity_squared: 1 to 2^128.
        dimension: 1 to 2^64.
        epsilon: 1e-9 to 1e9.
        delta: between 0 and 1.
    """
    require_count("sensitivity_squared", sensitivity_squared, 2 * SENSITIVITY_BITS)
    require_count("dimension", dimension, SENSITIVITY_BITS)
    require_calibratable(epsilon)
    require_probability("delta", delta)

    def holds(sigma: float) -> bool:
        return _is_private(LatticeNoise(sensitivity_squared, sigma, dimension), epsilon, delta)

    high = math.sqrt(sensitivity_squared) / gaussian_mu(epsilon, delta)
    while not holds(high):
        high *= 1.125
    low = high / 1.125
    while holds(low):
        low /= 1.125
    sigma = bisect(holds, low, high)
    # In its last digits the curve is not quite monotone as floats compute it, so the smallest ε of
    # this σ, searched for by itself, may come out a few digits above.
    step = math.ulp(sigma)
    while discrete_gaussian_epsilon(sensitivity_squared, sigma, dimension, delta) > epsilon:
        sigma += step
        step *= 2
    return sigma


def _is_private(noise: LatticeNoise, epsilon: float, delta: float) -> bool:
    """Whether any of the three bounds proves (ε, δ); each is decreasing in ε and in σ."""
    sensitivity_squared, sigma, dimension = noise
    price = discretisation([noise], delta)
    if price.epsilon < math.inf:
        mu = math.sqrt(sensitivity_squared) / sigma
        log_delta = gaussian_log_delta(mu, epsilon - price.epsilon)
        if log_delta + price.log_delta <= math.log(delta):
            return True
    if dimension == 1 and sigma <= _EXACT_UP_TO_SIGMA:
        # A single integer's move is an integer, and δ grows with it: the best test of a shift is
        # a half-line, because the ratio of masses is monotone, and its power grows with the shift.
        return shift_delta(math.isqrt(sensitivity_squared), sigma, epsilon) <= delta
    return _renyi_bound(noise, delta) <= epsilon


def _renyi_bound(noise: LatticeNoise, delta: float) -> float:
    rho = noise.sensitivity_squared / (2 * noise.sigma**2)
    return renyi_epsilon(DENSE_ORDERS, rho * DENSE_ORDERS, delta)[0]


def shift_delta(shift: int, sigma: float, epsilon: float) -> float:
    """The exact δ at ε of N_ℤ(0, σ²) against itself moved by an integer, rounded up.

    CKS, Theorem 7, as the sum over n of q(n − shift)·(1 − e^{ε − L(n)}) where the privacy loss
    L(n) = (2n·shift − shift²)/2σ² exceeds ε: all terms are positive, so nothing cancels. Terms
    beyond 12 σ are below 1e-31 of the sum; 1e-12 of it and 1e-305 are added for them and for
    rounding.

    Args:
        shift: ≥ 1.
        sigma: > 0; time and memory grow with it.
        epsilon: ≥ 0.
    """
    # One early, lest rounding skip a term: where the loss does not exceed ε the weight is 0.
    first = math.floor(epsilon * sigma**2 / shift + shift / 2)
    reach = math.ceil(_REACH * sigma)
    start = max(first, shift - reach) - shift
    # n − shift, the noise itself.
    noise = start + np.arange(max(0, -start) + reach + 2, dtype=np.float64)
    losses = (noise + shift / 2) * (shift / sigma**2 * (1 + 1e-15))
    weights = -np.expm1(np.minimum(epsilon - losses, 0.0))
    log_masses = -(noise**2) / (2 * sigma**2) - log_normaliser(sigma)
    return float(np.exp(log_masses) @ weights) * (1 + 1e-12) + 1e-305


def log_normaliser(sigma: float) -> float:
    """The logarithm of Σ_n e^{−n²/2σ²}."""
    if sigma >= 1:
        waves = sum(math.exp(-2 * (math.pi * sigma * k) ** 2) for k in (1, 2))
        return math.log(math.sqrt(2 * math.pi) * sigma) + math.log1p(2 * waves)
    squares: NDArray[np.float64] = np.arange(1, 40, dtype=np.float64) ** 2
    return math.log1p(2 * float(np.exp(-squares / (2 * sigma**2)).sum()))


def standard_deviation(sigma: float) -> float:
    """The standard deviation of N_ℤ(0, σ²): below σ for small σ, σ to all digits above 4."""
    if sigma > 4:  # noqa: PLR2004 - the difference is of the order e^{−2π²σ²}
        return sigma
    noise = np.arange(math.ceil(_REACH * sigma) + 2, dtype=np.float64)
    masses = np.exp(-(noise**2) / (2 * sigma**2) - log_normaliser(sigma))
    return math.sqrt(2 * float(noise**2 @ masses))


def half_width(sigma: float, coverage: float) -> int:
    """The smallest h with P(|Z| ≤ h) ≥ coverage for Z ~ N_ℤ(0, σ²).

    Summed exactly up to σ = 4096; beyond, the rounded Gaussian's, whose masses agree to 1e-7.

    Args:
        sigma: > 0.
        coverage: between 0 and 1.
    """
    require_probability("coverage", coverage)
    if sigma > _EXACT_UP_TO_SIGMA:
        return math.ceil(sigma * float(ndtri((1 + coverage) / 2)) - 0.5)
    noise = np.arange(math.ceil(_REACH * sigma) + 2, dtype=np.float64)
    masses = np.exp(-(noise**2) / (2 * sigma**2) - log_normaliser(sigma))
    at_least = np.cumsum(masses[::-1])[::-1]
    return int(np.argmax(2 * at_least <= 1 - coverage)) - 1
