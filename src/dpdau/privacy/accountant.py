"""What many releases cost one person together.

Every figure is an upper bound that holds for adaptively chosen questions, none falls when a
release is added, and none depends on the order of releases.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dpdau.errors import InvalidValueError
from dpdau.privacy.charges import Charge, GaussianCharge, PureCharge
from dpdau.privacy.checks import require_probability
from dpdau.privacy.discrete_gaussian import composed_gaussian_epsilon
from dpdau.privacy.loss_distribution import loss_distribution_epsilon
from dpdau.privacy.renyi import DENSE_ORDERS, renyi_epsilon

__all__ = [
    "Composition",
    "CompositionMethod",
    "PrivacyBound",
    "RenyiBound",
    "TightBound",
    "compose",
]


class CompositionMethod(StrEnum):
    """How a total was computed."""

    NAIVE = "naive"
    ADVANCED = "advanced"
    RDP = "rdp"
    GAUSSIAN = "gaussian"
    PLD = "pld"


@dataclass(frozen=True, slots=True)
class PrivacyBound:
    """A proven (ε, δ)."""

    epsilon: float
    delta: float


@dataclass(frozen=True, slots=True)
class RenyiBound(PrivacyBound):
    """A proven (ε, δ) and where it comes from.

    Attributes:
        order: the Rényi order that gives it; None if nothing was charged.
        curve: total Rényi divergence by order, at the orders that were asked for.
    """

    order: float | None
    curve: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class TightBound(PrivacyBound):
    """The smallest proven ε and the composition that gives it."""

    method: CompositionMethod


@dataclass(frozen=True, slots=True)
class Composition:
    """What a sequence of charges costs together, by several theorems.

    Attributes:
        naive: ε and δ added up, a Gaussian charge taken at the δ of the whole.
        advanced: Kairouz, Oh & Viswanath's bound, at a δ of its own on top of naive's.
        rdp: the best Rényi order.
        tight: the smallest ε among all whose δ is within the one asked for.
    """

    naive: PrivacyBound
    advanced: PrivacyBound
    rdp: RenyiBound
    tight: TightBound


def compose(
    charges: Iterable[Charge],
    *,
    delta: float,
    advanced_delta: float,
    rdp_orders: Sequence[float],
) -> Composition:
    """The cost of all charges together.

    Formal guarantees:
        Unit and neighbours are the charges'. Everything released under these charges is together
        (ε, δ)-DP for every pair returned. Questions may depend on earlier answers; the sequence
        of charges is fixed ahead, by configuration, and may only be cut short.

    Args:
        charges: in any order; equal ones may repeat.
        delta: the δ that `rdp` and `tight` may use, and that each Gaussian charge is stated at in
            `naive` and `advanced`; between 0 and 1.
        advanced_delta: what advanced composition adds to δ; between 0 and 1.
        rdp_orders: the Rényi orders to show, all above 1.
    """
    require_probability("delta", delta)
    require_probability("advanced_delta", advanced_delta)
    if not all(1 < order < math.inf for order in rdp_orders):
        raise InvalidValueError("rdp_orders", tuple(rdp_orders), "finite numbers above 1")
    counts = Counter(charges)
    del counts[PureCharge(0.0)]

    costs = [(_epsilon(charge, delta), count) for charge, count in counts.items()]
    approximate = sum(count for charge, count in counts.items() if not charge.is_pure)
    naive = _naive(costs, approximate * delta)
    advanced = _advanced(costs, approximate * delta, advanced_delta)
    rdp = _rdp(counts, delta, tuple(rdp_orders))
    return Composition(naive, advanced, rdp, _tight(counts, delta, naive, advanced, rdp))


def _naive(costs: list[tuple[float, int]], delta: float) -> PrivacyBound:
    """Basic composition: ε and δ add up."""
    return PrivacyBound(math.fsum(epsilon * count for epsilon, count in costs), min(delta, 1.0))


def _advanced(costs: list[tuple[float, int]], delta: float, advanced_delta: float) -> PrivacyBound:
    """Kairouz, Oh & Viswanath 2015 (arXiv 1311.0776), Theorem 3.5, for unequal ε.

    It is the smallest of three; the last is never above Dwork, Rothblum & Vadhan's 2010 bound,
    because ε·tanh(ε/2) ≤ ε(e^ε − 1). Its total δ is 1 − (1 − δ̃)·Π(1 − δᵢ) ≤ δ̃ + Σ δᵢ.
    """
    if not costs:
        return PrivacyBound(0.0, 0.0)
    total = math.fsum(epsilon * count for epsilon, count in costs)
    mean = math.fsum(epsilon * math.tanh(epsilon / 2) * count for epsilon, count in costs)
    squares = math.fsum(epsilon**2 * count for epsilon, count in costs)
    tail = min(math.log(1 / advanced_delta), math.log(math.e + math.sqrt(squares) / advanced_delta))
    epsilon = min(total, mean + math.sqrt(2 * squares * tail))
    return PrivacyBound(epsilon, min(delta + advanced_delta, 1.0))


def _rdp(counts: Counter[Charge], delta: float, shown: tuple[float, ...]) -> RenyiBound:
    """Rényi divergences add up order by order (Mironov 2017, arXiv 1702.07476)."""
    orders = _orders(shown)
    divergences = np.zeros_like(orders)
    for charge, count in counts.items():
        divergences += count * _divergences(charge, shown)
    curve = dict(zip(shown, divergences[: len(shown)].tolist(), strict=True))
    if not counts:
        return RenyiBound(0.0, 0.0, None, curve)
    epsilon, order = renyi_epsilon(orders, divergences, delta)
    return RenyiBound(epsilon, delta, order, curve)


def _tight(
    counts: Counter[Charge],
    delta: float,
    naive: PrivacyBound,
    advanced: PrivacyBound,
    rdp: RenyiBound,
) -> TightBound:
    """The smallest ε whose δ fits.

    A single Gaussian charge is left to its own figure in `naive`: a loss distribution could not
    be below it.
    """
    bounds = [
        TightBound(bound.epsilon, bound.delta, method)
        for bound, method in (
            (naive, CompositionMethod.NAIVE),
            (advanced, CompositionMethod.ADVANCED),
            (rdp, CompositionMethod.RDP),
        )
        if bound.delta <= delta
    ]
    noises = [
        charge.noise.repeated(count)
        for charge, count in counts.items()
        if isinstance(charge, GaussianCharge)
    ]
    if counts and len(noises) == len(counts):
        epsilon = composed_gaussian_epsilon(noises, delta)
        bounds.append(TightBound(epsilon, delta, CompositionMethod.GAUSSIAN))
    if counts and not (counts.total() == len(noises) == 1):
        epsilon = loss_distribution_epsilon(counts, delta, rdp.epsilon)
        bounds.append(TightBound(epsilon, delta, CompositionMethod.PLD))
    return min(bounds, key=lambda bound: bound.epsilon)


@lru_cache(maxsize=1024)
def _epsilon(charge: Charge, delta: float) -> float:
    return charge.epsilon(delta)


@lru_cache(maxsize=8)
def _orders(shown: tuple[float, ...]) -> NDArray[np.float64]:
    return np.concatenate((np.array(shown, dtype=np.float64), DENSE_ORDERS))


@lru_cache(maxsize=1024)
def _divergences(charge: Charge, shown: tuple[float, ...]) -> NDArray[np.float64]:
    return charge.rdp(_orders(shown))
