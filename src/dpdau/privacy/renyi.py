"""From Rényi differential privacy to (ε, δ)."""

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["DENSE_ORDERS", "renyi_epsilon"]

DENSE_ORDERS: NDArray[np.float64] = 1 + np.logspace(-6, 6, 481)
"""The default grid: forty orders a decade of α − 1, dense enough to cost ε under 0.1 %."""


def renyi_epsilon(
    orders: NDArray[np.float64], divergences: NDArray[np.float64], delta: float
) -> tuple[float, float]:
    """The smallest ε that follows at δ from a curve of Rényi divergences, and the best order.

    Canonne, Kamath & Steinke 2020 (arXiv 2004.00010), Proposition 12: order α with divergence r
    gives ε = r + ln(1 − 1/α) − ln(δ·α)/(α − 1). The same conversion as `dp_accounting.rdp`,
    which however refuses orders below 1.01, where the optimum lies for large ε.

    Args:
        orders: all above 1.
        divergences: one per order, ≥ 0.
        delta: in [0, 1]; at 0 only a curve that stays bounded as α grows gives a finite ε, and
            its last divergence is returned only if it is 0.

    Returns:
        (ε, α) with ε ≥ 0.
    """
    if not divergences.any():
        return 0.0, float(orders[-1])
    if delta == 0:
        return math.inf, float(orders[-1])
    excess = orders - 1
    epsilons = divergences + np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / excess
    best = int(np.argmin(epsilons))
    return max(0.0, float(epsilons[best])), float(orders[best])
