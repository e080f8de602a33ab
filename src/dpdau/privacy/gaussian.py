"""Gaussian noise: the discrete Gaussian mechanism, what it costs and how much is needed.

The curve of continuous noise is in `gaussian_curve`, the proofs for discrete noise are in
`discrete_gaussian`; the noise is drawn by OpenDP's exact sampler.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import opendp.prelude as dp

from dpdau.errors import CalibrationError
from dpdau.privacy import discrete_gaussian
from dpdau.privacy.charges import GaussianCharge
from dpdau.privacy.checks import SENSITIVITY_BITS, require_count
from dpdau.privacy.discrete_gaussian import discrete_gaussian_sigma

__all__ = ["GaussianMechanism"]

dp.enable_features("contrib")


@dataclass(frozen=True, slots=True)
class GaussianMechanism:
    """Adds discrete Gaussian noise to a count.

    Formal guarantees:
        Unit: whoever can change the count. Neighbours: two data sets whose counts differ by at
        most `sensitivity`. One `measure` is (`epsilon`, `delta`)-DP: Canonne, Kamath & Steinke
        2020, Theorem 7, checked when the value is made.

    Attributes:
        sigma: the noise's parameter σ, > 0, in the count's unit.
        sensitivity: the largest change of the count, ≥ 1.
        epsilon: the ε stated for one measurement.
        delta: the δ that belongs to it.
    """

    sigma: float
    sensitivity: int
    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        if self.charge.epsilon(self.delta) > self.epsilon:
            raise CalibrationError(
                f"σ = {self.sigma:g} is too small for ε = {self.epsilon:g} at δ = {self.delta:g}; "
                "calibrate it."
            )

    @classmethod
    def calibrate(cls, epsilon: float, delta: float, sensitivity: int) -> "GaussianMechanism":
        """The mechanism with the least noise that is (ε, δ)-DP.

        Raises:
            InvalidValueError: if a parameter is out of range.
        """
        require_count("sensitivity", sensitivity, SENSITIVITY_BITS)
        sigma = discrete_gaussian_sigma(sensitivity**2, 1, epsilon, delta)
        return cls(sigma, sensitivity, epsilon, delta)

    @property
    def charge(self) -> GaussianCharge:
        """What one measurement costs."""
        return GaussianCharge(self.sigma, self.sensitivity**2)

    @property
    def std_error(self) -> float:
        """The noise's standard deviation."""
        return discrete_gaussian.standard_deviation(self.sigma)

    def half_width(self, coverage: float = 0.95) -> int:
        """The smallest h with P(|noise| ≤ h) ≥ coverage.

        Args:
            coverage: between 0 and 1.
        """
        return discrete_gaussian.half_width(self.sigma, coverage)

    def measure(self, value: int) -> int:
        """The count with fresh noise."""
        return int(_measurement(self.sigma)(value))


@lru_cache(maxsize=32)
def _measurement(sigma: float) -> Any:
    return dp.m.make_gaussian(dp.atom_domain(T="i64"), dp.absolute_distance(T="i64"), scale=sigma)
