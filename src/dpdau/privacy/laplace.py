"""The discrete Laplace mechanism: pure ε-DP for one integer.

Noise on ℤ with mass (1 − p)/(1 + p)·p^|n|, p = e^{−1/scale} (the two-sided geometric of Ghosh,
Roughgarden & Sundararajan 2009), drawn by OpenDP's exact sampler.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import opendp.prelude as dp

from dpdau.privacy.charges import LaplaceCharge, rounded_up
from dpdau.privacy.checks import (
    SENSITIVITY_BITS,
    require_calibratable,
    require_count,
    require_probability,
)

__all__ = ["LaplaceMechanism"]

dp.enable_features("contrib")


@dataclass(frozen=True, slots=True)
class LaplaceMechanism:
    """Adds discrete Laplace noise to a count.

    Formal guarantees:
        Unit: whoever can change the count. Neighbours: two data sets whose counts differ by at
        most `sensitivity`. One `measure` is (`epsilon`, 0)-DP: masses at distance k differ by a
        factor of at most e^{k/scale}.

    Attributes:
        scale: the noise's scale parameter, > 0, in the count's unit.
        sensitivity: the largest change of the count, ≥ 1.
    """

    scale: float
    sensitivity: int

    def __post_init__(self) -> None:
        # The charge holds the same two values to the same conditions.
        LaplaceCharge(self.scale, self.sensitivity)

    @classmethod
    def calibrate(cls, epsilon: float, sensitivity: int) -> "LaplaceMechanism":
        """The mechanism with the least noise that is (ε, 0)-DP: scale Δ/ε, rounded up.

        Args:
            epsilon: 1e-9 to 1e9.
            sensitivity: ≥ 1, in the count's unit.

        Raises:
            InvalidValueError: if a parameter is out of range.
        """
        require_calibratable(epsilon)
        require_count("sensitivity", sensitivity, SENSITIVITY_BITS)
        return cls(rounded_up(Fraction(sensitivity) / Fraction(epsilon)), sensitivity)

    @property
    def epsilon(self) -> float:
        """The ε of one measurement, rounded up."""
        return self.charge.epsilon(self.delta)

    @property
    def delta(self) -> float:
        """The δ of one measurement: none."""
        return 0.0

    @property
    def charge(self) -> LaplaceCharge:
        """What one measurement costs."""
        return LaplaceCharge(self.scale, self.sensitivity)

    @property
    def std_error(self) -> float:
        """The noise's standard deviation, √(2p)/(1 − p)."""
        return math.sqrt(2) * math.exp(-0.5 / self.scale) / -math.expm1(-1 / self.scale)

    def half_width(self, coverage: float = 0.95) -> int:
        """The smallest h with P(|noise| ≤ h) ≥ coverage; P(|noise| > h) is 2p^{h+1}/(1 + p).

        Args:
            coverage: between 0 and 1.
        """
        require_probability("coverage", coverage)
        excess = (1 - coverage) * (1 + math.exp(-1 / self.scale)) / 2
        return max(0, math.ceil(-self.scale * math.log(excess) - 1))

    def measure(self, value: int) -> int:
        """The count with fresh noise."""
        return int(_measurement(self.scale)(value))


@lru_cache(maxsize=32)
def _measurement(scale: float) -> Any:
    return dp.m.make_laplace(dp.atom_domain(T="i64"), dp.absolute_distance(T="i64"), scale=scale)
