"""Composition by privacy loss distributions, the tightest there is for mixed mechanisms.

Google's `dp_accounting` turns each mechanism into the distribution of its privacy loss on a grid,
always to the pessimistic side ("connect the dots", Doroshenko et al. 2022, arXiv 2207.04380), and
convolves. What it is given here dominates the noise that was really used:

- discrete Laplace noise and pure ε-DP (as randomised response): the mechanism itself;
- a scalar discrete Gaussian of moderate σ: the mechanism itself;
- other discrete Gaussians: one continuous Gaussian of the same total μ, whose comparison with the
  discrete ones is paid for by `discretisation`.

Floating-point convolution is the one thing the library does not bound. Against exact sums its
error in δ is 1e-15 a charge; ten times that and 1e-11 are taken off δ first.
"""

import math
from collections.abc import Mapping
from functools import cache, lru_cache, reduce
from typing import Any, TypeAlias

from dpdau.privacy.charges import Charge, GaussianCharge, LaplaceCharge
from dpdau.privacy.discrete_gaussian import composed_mu, discretisation

__all__ = ["loss_distribution_epsilon"]

_CONVOLUTION_ERROR = 1e-11
_CONVOLUTION_ERROR_PER_CHARGE = 1e-14
_MOST_DISTINCT = 64
_SMALLEST_DELTA = 1e-9
_LARGEST_DELTA = 0.1
_LARGEST_EPSILON = 64.0
_LARGEST_PRICE = 1.0
_GRID_POINTS = 4096
_EXACT_UP_TO_SIGMA = 128.0
_LONGEST_SHIFT = 4096
_NEGLIGIBLE = 1e-12
_LOG_TRUNCATED_MASS = -45.0

_Distribution: TypeAlias = Any  # pld.PrivacyLossDistribution, of a library without types


def loss_distribution_epsilon(
    counts: Mapping[Charge, int], delta: float, upper_bound: float
) -> float:
    """An ε for which all charges together are (ε, δ)-DP, or infinity where that is out of reach.

    Out of reach are δ below 1e-9 or above 0.1, ε above 64, more than 64 different charges (which
    would take a second) and Gaussian vectors of so small a σ that they cannot be compared with
    continuous noise; Rényi composition serves there. So are charges that are all compared with
    continuous noise, whose exact curve (`composed_gaussian_epsilon`) a grid only approximates.

    Args:
        counts: how often each charge was spent.
        delta: in (0, 1).
        upper_bound: an ε known to hold, which grows whenever a charge is added. It sets the
            grid, a power of two, so that adding a charge can only coarsen it: a coarser grid of
            doubled steps is more pessimistic, and the figure never falls.
    """
    in_reach = (
        _SMALLEST_DELTA <= delta <= _LARGEST_DELTA
        and 0 < upper_bound <= _LARGEST_EPSILON
        and len(counts) <= _MOST_DISTINCT
        and any(map(_is_exact, counts))
    )
    if not in_reach:
        return math.inf
    step = 2.0 ** math.ceil(math.log2(upper_bound / _GRID_POINTS))
    return _composed_epsilon(frozenset(counts.items()), delta, step)


@lru_cache(maxsize=256)
def _composed_epsilon(counts: frozenset[tuple[Charge, int]], delta: float, step: float) -> float:
    compared = [
        charge.noise.repeated(count)
        for charge, count in counts
        if isinstance(charge, GaussianCharge) and not _is_exact(charge)
    ]
    distributions = [
        _composed(charge, count, step)
        for charge, count in sorted(counts, key=repr)
        if _is_exact(charge)
    ]
    price_epsilon = price_log_delta = 0.0
    if compared:
        price_epsilon, price_log_delta = discretisation(compared, delta)
        distributions.append(_gaussian(composed_mu(compared), step))
    if price_epsilon > _LARGEST_PRICE:
        return math.inf
    total = reduce(_library().PrivacyLossDistribution.compose, distributions)
    error = _CONVOLUTION_ERROR + _CONVOLUTION_ERROR_PER_CHARGE * sum(count for _, count in counts)
    spendable = delta * math.exp(-price_log_delta) - error
    return float(total.get_epsilon_for_delta(spendable)) * (1 + 1e-9) + price_epsilon


@cache
def _library() -> Any:
    from dp_accounting.pld import privacy_loss_distribution  # noqa: PLC0415 - takes a second

    return privacy_loss_distribution


def _is_exact(charge: Charge) -> bool:
    """Whether the library composes the mechanism itself, not a continuous stand-in."""
    if not isinstance(charge, GaussianCharge):
        return True
    return charge.dimension == 1 and charge.sigma <= _EXACT_UP_TO_SIGMA


@lru_cache(maxsize=32)
def _composed(charge: Charge, count: int, step: float) -> _Distribution:
    return _distribution(charge, step).self_compose(count)


@lru_cache(maxsize=32)
def _distribution(charge: Charge, step: float) -> _Distribution:
    if isinstance(charge, GaussianCharge):
        return _library().from_discrete_gaussian_mechanism(
            charge.sigma,
            math.isqrt(charge.sensitivity_squared),
            value_discretization_interval=step,
            use_connect_dots=True,
        )
    # Randomised response, a shift by one, has the largest loss of all mechanisms of its ε.
    epsilon, shift = max(charge.epsilon(0.0), _NEGLIGIBLE), 1
    if isinstance(charge, LaplaceCharge) and charge.sensitivity <= _LONGEST_SHIFT:
        shift = charge.sensitivity
    return _library().from_discrete_laplace_mechanism(
        epsilon / shift, shift, value_discretization_interval=step, use_connect_dots=True
    )


@lru_cache(maxsize=8)
def _gaussian(mu: float, step: float) -> _Distribution:
    return _library().from_gaussian_mechanism(
        1 / mu,
        value_discretization_interval=step,
        log_mass_truncation_bound=_LOG_TRUNCATED_MASS,
        use_connect_dots=True,
    )
