"""Privacy computed the slow way: in many digits, or by enumerating every outcome."""

import math
from collections.abc import Sequence

import mpmath
import numpy as np
from scipy.special import gammaln

__all__ = [
    "gaussian_delta",
    "laplace_delta",
    "lattice_delta",
    "lattice_divergence",
    "randomised_response_delta",
    "smallest_epsilon",
]


def gaussian_delta(mu: float, epsilon: float) -> mpmath.mpf:
    """δ of continuous Gaussian noise, in sixty digits."""
    with mpmath.workdps(60):
        mu, epsilon = mpmath.mpf(mu), mpmath.mpf(epsilon)

        def cdf(x: mpmath.mpf) -> mpmath.mpf:
            return mpmath.erfc(-x / mpmath.sqrt(2)) / 2

        return cdf(mu / 2 - epsilon / mu) - mpmath.exp(epsilon) * cdf(-mu / 2 - epsilon / mu)


def lattice_delta(shifts: Sequence[int], sigma: float, epsilon: float) -> float:
    """δ of independent discrete Gaussians against themselves moved by a vector.

    The loss is a function of the noise's inner product with the vector, whose distribution is
    the convolution of the scaled coordinates.
    """
    reach = math.ceil(11 * sigma)
    noise = np.arange(-reach, reach + 1)
    masses = np.exp(-(noise**2) / (2 * sigma**2))
    masses /= masses.sum()
    product = np.ones(1)
    for shift in shifts:
        spread = np.zeros(2 * reach * shift + 1)
        spread[::shift] = masses
        product = np.convolve(product, spread)
    inner = np.arange(len(product)) - reach * sum(shifts)
    losses = (2 * inner + sum(shift**2 for shift in shifts)) / (2 * sigma**2)
    return float(product @ -np.expm1(np.minimum(epsilon - losses, 0)))


def laplace_delta(shifts: Sequence[int], scale: float, epsilon: float) -> float:
    """δ of independent discrete Laplace noise against itself moved by a vector.

    Every outcome is enumerated out to where the noise has less than 1e-13 of its mass.
    """
    reach = math.ceil(30 * scale) + max(shifts)
    outcomes = np.arange(-reach, reach + 1)
    still = moved = np.ones(1)
    for shift in shifts:
        if shift:
            masses = [np.exp(-np.abs(outcomes - by) / scale) for by in (0, shift)]
            masses = [each / math.fsum(masses[0]) for each in masses]
            still = np.multiply.outer(still, masses[0]).ravel()
            moved = np.multiply.outer(moved, masses[1]).ravel()
    return float(np.maximum(moved - math.exp(epsilon) * still, 0).sum())


def randomised_response_delta(epsilon: float, count: int, total_epsilon: float) -> float:
    """δ at a total ε of randomised response repeated, from the binomial distribution."""
    kept = np.arange(count + 1)
    log_masses = (
        gammaln(count + 1) - gammaln(kept + 1) - gammaln(count - kept + 1)
        + kept * epsilon
        - count * math.log1p(math.exp(epsilon))
    )  # fmt: skip
    losses = (2 * kept - count) * epsilon
    return float(np.exp(log_masses) @ -np.expm1(np.minimum(total_epsilon - losses, 0)))


def lattice_divergence(log_masses: np.ndarray, shift: int, order: float) -> float:
    """Rényi divergence between masses on consecutive integers and the same ones moved."""
    moved, still = log_masses[shift:], log_masses[:-shift]
    return float(np.logaddexp.reduce(order * moved + (1 - order) * still)) / (order - 1)


def smallest_epsilon(delta_of, delta: float, high: float) -> float:  # noqa: ANN001 - any curve
    """The smallest ε at which a falling curve is at most δ."""
    low = 0.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if delta_of(middle) <= delta else (middle, high)
    return high
