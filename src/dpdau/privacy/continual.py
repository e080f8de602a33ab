"""Continual release of one series: measure a row a day, estimate every day of the period.

For presence totals x ∈ ℤ^T and a plan's integer lower-triangular C,

    m_d = Σ_{j ≤ d} C[d, j]·x_j + g_d,    g_d ~ N_ℤ(0, σ²) independent,    x̂ = C⁻¹m.

`measure_row` is the mechanism; everything else here is post-processing of the measurements and
depends on no data. docs/privacy/continual.md has the theorem and its proof.

**Errors.** x̂ − x = C⁻¹g with Var g_d ≤ σ² (Canonne, Kamath & Steinke 2020, Corollary 9), so the
standard error of day d is at most σ·‖(C⁻¹)_d‖₂, and equals it up to a relative 1e-12 for σ ≥ 2.

**Intervals.** Let R = round(N) with N ~ N(0, σ²). By the comparison in `discrete_gaussian`, the mass
of T independent N_ℤ(0, σ²) is at most e^η times that of T independent R, η = T/24σ². So any event
that R has with probability at most p, g has with probability at most e^η·p. Rounding moves the
error of day d by at most ½‖(C⁻¹)_d‖₁. Hence

    P( |x̂_d − x_d| > z·σ‖(C⁻¹)_d‖₂ + ½‖(C⁻¹)_d‖₁ ) ≤ e^η·2Φ(−z),

and z is chosen so that the right side is one minus the coverage. At the scale of a plan, η and the
rounding are below 1e-4 of the width.

**Bands.** All days at once: for jointly normal errors with any correlations, Šidák's inequality
(1967) gives P(all |N_d| ≤ z·s_d) ≥ (2Φ(z) − 1)^T, and the same comparison carries it over. It is
conservative where errors are correlated; at T = 31 its z is 3.14.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import opendp.prelude as dp
from numpy.typing import NDArray
from scipy.special import ndtri

from dpdau.errors import InvalidValueError
from dpdau.privacy.strategy import Plan
from dpdau.privacy.strategy.factor import inverse
from dpdau.privacy.strategy.sensitivity import Rows

__all__ = [
    "Estimate",
    "band_half_widths",
    "covariance",
    "estimate_row",
    "estimates",
    "half_widths",
    "measure_row",
    "standard_errors",
]

dp.enable_features("contrib")

_LARGEST_QUERY = 2**62
"""Half of a signed 64-bit integer's range: noise of 2**62 has probability zero in any practice."""

_FRACTION_BITS = 64


@dataclass(frozen=True, slots=True)
class Estimate:
    """One day of a series, as post-processing of the rows up to it.

    Attributes:
        value: unbiased; may be negative.
        std_error: its standard error.
        half_width: of the two-sided 95 % interval of this day.
        band_half_width: of the 95 % band that holds for all days of the period at once.
    """

    value: float
    std_error: float
    half_width: float
    band_half_width: float


def measure_row(plan: Plan, totals: Sequence[int]) -> int:
    """Measure the next row of a period.

    Formal guarantees:
        Unit: one user's whole stream in the period. Neighbours: totals that differ by
        `plan.sensitivity`·v, v in `plan.presence`, where later entries may depend on earlier
        measurements. If each of the period's rows is measured at most once, and the totals of
        days already measured are not changed, all measurements together are `plan.rho`-zCDP and
        (`plan.epsilon`, `plan.delta`)-DP. Integer arithmetic and OpenDP's exact discrete
        Gaussian. Assumes that totals are presence totals of a set that the plan declares: for
        bounded runs, `flippancy` sees to it. Source: docs/privacy/continual.md, after Denisov et
        al. 2022 (arXiv 2202.08312) and Feldman & Zrnic 2021 (arXiv 2008.11193).

    Args:
        plan: the period's plan.
        totals: x_1, …, x_d: one entry for every day up to the one that closes.

    Returns:
        m_d, the measurement of the row of the last day given.

    Raises:
        InvalidValueError: no totals or too many, or totals too large for 64-bit integers.
    """
    _require_days("totals", len(totals), plan)
    row = plan.strategy[len(totals) - 1]
    query = sum(entry * int(total) for entry, total in zip(row, totals, strict=False))
    if abs(query) > _LARGEST_QUERY:
        # The value is not shown: it is made of true counts.
        raise InvalidValueError(
            "totals", "too large", f"a row of at most 2**62 in size with scale {plan.scale}"
        )
    return int(_measurement(plan.sigma)(query))


@lru_cache(maxsize=32)
def _measurement(sigma: float) -> Any:
    return dp.m.make_gaussian(dp.atom_domain(T="i64"), dp.absolute_distance(T="i64"), scale=sigma)


def estimates(plan: Plan, measurements: Sequence[int]) -> list[float]:
    """The unbiased estimates of the days measured so far.

    Back-substitution in integers with 64 binary places, the same on every machine. Each step is
    rounded by at most 2^−65, which C⁻¹ spreads to at most 2^−65·max_d C[d, d]·‖(C⁻¹)_d‖₁ per day:
    far below the last place of the float returned.

    Args:
        plan: the period's plan.
        measurements: m_1, …, m_d.

    Returns:
        x̂_1, …, x̂_d in the unit of the totals. Later measurements change none of them.

    Raises:
        InvalidValueError: no measurements or more than days.
    """
    _require_days("measurements", len(measurements), plan)
    solved: list[int] = []
    for row, measurement in zip(plan.strategy, measurements, strict=False):
        known = sum(entry * value for entry, value in zip(row, solved, strict=False))
        own = row[len(solved)]
        remainder = (int(measurement) << _FRACTION_BITS) - known
        solved.append((2 * remainder + own) // (2 * own))
    return [value / 2**_FRACTION_BITS for value in solved]


def estimate_row(plan: Plan, measurements: Sequence[int]) -> Estimate:
    """The last measured day's estimate and errors; arguments as `estimates`."""
    values = estimates(plan, measurements)
    day = len(values) - 1
    return Estimate(
        value=values[day],
        std_error=float(standard_errors(plan)[day]),
        half_width=float(half_widths(plan)[day]),
        band_half_width=float(band_half_widths(plan)[day]),
    )


def standard_errors(plan: Plan) -> NDArray[np.float64]:
    """The standard error of every day's estimate, shape (days,)."""
    return plan.sigma * _spread(plan.strategy).euclidean


def half_widths(plan: Plan, coverage: float = 0.95) -> NDArray[np.float64]:
    """Half widths of two-sided intervals, each day by itself, shape (days,).

    Args:
        plan: the period's plan.
        coverage: the least probability that a day's interval holds its total, in (0, 1).
    """
    return _widths(plan, _miss(plan, coverage))


def band_half_widths(plan: Plan, coverage: float = 0.95) -> NDArray[np.float64]:
    """Half widths of the band that holds for every day of the period at once, shape (days,).

    Args:
        plan: the period's plan.
        coverage: the least probability that all days lie within, in (0, 1).
    """
    per_day = -math.expm1(math.log1p(-_miss(plan, coverage)) / plan.days)
    return _widths(plan, per_day)


def covariance(plan: Plan) -> NDArray[np.float64]:
    """The covariance of the estimates' errors, σ²(CᵀC)⁻¹, shape (days, days)."""
    inverted = inverse(plan.strategy)
    return plan.sigma**2 * (inverted @ inverted.T)


@dataclass(frozen=True, slots=True)
class _Spread:
    """Norms of the rows of C⁻¹, each of shape (days,)."""

    euclidean: NDArray[np.float64]
    absolute: NDArray[np.float64]


@lru_cache(maxsize=32)
def _spread(rows: Rows) -> _Spread:
    inverted = inverse(rows)
    return _Spread(np.sqrt((inverted**2).sum(axis=1)), np.abs(inverted).sum(axis=1))


def _miss(plan: Plan, coverage: float) -> float:
    """What the rounded Gaussian may miss so that the discrete one covers enough."""
    if not 0 < coverage < 1:
        raise InvalidValueError("coverage", coverage, "a number between 0 and 1")
    return (1 - coverage) * math.exp(-plan.days / (24 * plan.sigma**2))


def _widths(plan: Plan, miss: float) -> NDArray[np.float64]:
    spread = _spread(plan.strategy)
    quantile = -float(ndtri(miss / 2))
    return quantile * plan.sigma * spread.euclidean + spread.absolute / 2


def _require_days(name: str, given: int, plan: Plan) -> None:
    if not 1 <= given <= plan.days:
        raise InvalidValueError(name, f"{given} entries", f"1 to {plan.days}, one a day")
