"""The optimum for unbounded presence, V = {0, 1}^T, in closed form.

V is the same under every permutation of the days, so by convexity there is an optimal P that is
too: P = a(I − βJ/T), J all ones. Such a P sees of v only its number k of active days,

    vᵀPv = a(k − βk²/T),        tr(P⁻¹) = (1/a)(T − 1 + 1/(1 − β)),

so a = 1/max_k(k − βk²/T), and β is to minimise max_k(k − βk²/T)·(T − 1 + 1/(1 − β)). With
u = 1 − β, and k the maximiser for β in [T/(2k + 1), T/(2k − 1)], the product is
(A + Bu)(T − 1 + 1/u) with A = k − k²/T and B = k²/T, least at u = √(A/(B(T − 1))).

The dual is symmetric too: λ spread evenly over the patterns with k active days gives M_λ the
eigenvalues k²/T (once) and (k − k²/T)/(T − 1), and mixing two neighbouring k attains the optimum.

The triangular factor has constant rows left of the diagonal, and keeps them when rounded, which
makes its sensitivity exactly computable (`sensitivity.by_prefix_counts`).
"""

import math

import numpy as np

from dpdau.privacy.strategy.sensitivity import Rows
from dpdau.privacy.strategy.witness import Witness

__all__ = ["FLAT_SCALE", "flat_rows", "flat_witness", "optimal_beta"]

FLAT_SCALE = 2**24
"""Finer than other designs: entries left of the diagonal are about 1/T of those on it."""


def optimal_beta(days: int) -> float:
    """The β of the optimum; more variance goes to the mean of the period the larger it is."""
    if days == 1:
        return 0.0
    candidates = []
    for active in range(1, days):
        spread, mean = active - active**2 / days, active**2 / days
        low, high = 1 - days / (2 * active - 1), 1 - days / (2 * active + 1)
        rest = min(max(math.sqrt(spread / (mean * (days - 1))), low), high)
        if 0 < rest <= 1:
            candidates.append(((spread + mean * rest) * (days - 1 + 1 / rest), 1 - rest))
    return min(candidates)[1]


def flat_rows(days: int) -> Rows:
    """The integer strategy: row i is dᵢ on day i and −cᵢ on every day before.

    Taking the last row d, −c, …, −c off P = aI − bJ leaves aI − (b + c²)J on the other days.
    """
    beta = optimal_beta(days)
    largest = max(active - beta * active**2 / days for active in range(1, days + 1))
    scale = 1 / largest
    shared = scale * beta / days
    rows: list[tuple[int, ...]] = []
    for day in range(days - 1, -1, -1):
        own = math.sqrt(scale - shared)
        other = shared / own
        shared += other**2
        earlier = (-round(FLAT_SCALE * other),) * day
        rows.append((*earlier, round(FLAT_SCALE * own), *([0] * (days - day - 1))))
    return tuple(reversed(rows))


def flat_witness(days: int) -> Witness:
    """The distribution over numbers of active days with the largest bound."""
    if days == 1:
        return Witness(active_days=((1, 1.0),))
    alone = [_bound(days, active, active**2) for active in range(1, days + 1)]
    best = 1 + int(np.argmax(alone))
    mixtures = [_mixture(days, active) for active in (best - 1, best) if 0 < active < days]
    _, active, share = max(mixtures)
    return Witness(active_days=((active, 1 - share), (active + 1, share)))


def _bound(days: int, mean: float, mean_square: float) -> float:
    """The trace of √M_λ for a number of active days with these two moments."""
    others = (mean - mean_square / days) / (days - 1)
    return math.sqrt(mean_square / days) + (days - 1) * math.sqrt(max(others, 0.0))


def _mixture(days: int, active: int) -> tuple[float, int, float]:
    """The best bound of λ on `active` and `active + 1` days, and the latter's share s.

    Moments are linear in s, so the bound is √(a + bs) + (T − 1)√(c + ds), b > 0: concave, and
    stationary where b²(c + ds) = (T − 1)²d²(a + bs) if d < 0.
    """
    a, b = active**2 / days, (2 * active + 1) / days
    c, d = (active - a) / (days - 1), (1 - b) / (days - 1)
    share = 1.0
    if d < 0:
        weight = ((days - 1) * d) ** 2
        share = min(max((b**2 * c - weight * a) / (weight * b - b**2 * d), 0.0), 1.0)
    bound = _bound(days, active + share, active**2 + share * (2 * active + 1))
    return bound, active, share
