"""What a release cost: frozen values that go into the ledger and come back out of it.

A charge holds the parameters of the noise that was really used, and derives every privacy
figure from them. All figures are upper bounds, rounded up.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dpdau.errors import InvalidValueError
from dpdau.privacy.checks import (
    SENSITIVITY_BITS,
    require_count,
    require_noise,
    require_number,
)
from dpdau.privacy.discrete_gaussian import LatticeNoise, discrete_gaussian_epsilon

__all__ = [
    "Charge",
    "GaussianCharge",
    "LaplaceCharge",
    "PureCharge",
    "charge_from_dict",
    "rounded_up",
]

_LARGEST_EPSILON = 1e50


@dataclass(frozen=True, slots=True)
class LaplaceCharge:
    """Discrete Laplace noise on one integer.

    Attributes:
        scale: the noise has mass proportional to e^{−|n|/scale}; 1e-30 to 1e30.
        sensitivity: the largest change of the integer, 1 to 2^64.
    """

    kind: ClassVar[str] = "laplace"
    is_pure: ClassVar[bool] = True

    scale: float
    sensitivity: int

    def __post_init__(self) -> None:
        require_noise("scale", self.scale)
        require_count("sensitivity", self.sensitivity, SENSITIVITY_BITS)

    def epsilon(self, delta: float) -> float:  # noqa: ARG002 - pure: the same ε at every δ
        """The ε of this release alone: sensitivity/scale."""
        return rounded_up(Fraction(self.sensitivity) / Fraction(self.scale))

    def rdp(self, orders: NDArray[np.float64]) -> NDArray[np.float64]:
        """The exact Rényi divergence of each order between the noise and its largest shift."""
        return _discrete_laplace_divergences(orders, self.epsilon(0.0), self.sensitivity)

    def to_dict(self) -> dict[str, Any]:
        """The charge as a JSON object."""
        return {"kind": self.kind, "scale": self.scale, "sensitivity": self.sensitivity}


@dataclass(frozen=True, slots=True)
class GaussianCharge:
    """Independent discrete Gaussian noise on every coordinate of an integer vector.

    One scalar has dimension 1; a whole continual series is one charge with one coordinate per
    row, paid when the series is opened.

    Attributes:
        sigma: the noise has mass proportional to e^{−n²/2σ²}; 1e-30 to 1e30.
        sensitivity_squared: the largest squared Euclidean norm of the vector's change, 1 to
            2^128.
        dimension: 1 to 2^64.
    """

    kind: ClassVar[str] = "gaussian"
    is_pure: ClassVar[bool] = False

    sigma: float
    sensitivity_squared: int
    dimension: int = 1

    def __post_init__(self) -> None:
        require_noise("sigma", self.sigma)
        require_count("sensitivity_squared", self.sensitivity_squared, 2 * SENSITIVITY_BITS)
        require_count("dimension", self.dimension, SENSITIVITY_BITS)

    @property
    def noise(self) -> LatticeNoise:
        """The noise and what it hides."""
        return LatticeNoise(self.sensitivity_squared, self.sigma, self.dimension)

    def epsilon(self, delta: float) -> float:
        """The ε of this release alone at a δ."""
        return discrete_gaussian_epsilon(
            self.sensitivity_squared, self.sigma, self.dimension, delta
        )

    def rdp(self, orders: NDArray[np.float64]) -> NDArray[np.float64]:
        """The Rényi divergence of each order: at most αΔ²/2σ², as for continuous noise."""
        return orders * (self.sensitivity_squared / (2 * self.sigma**2))

    def to_dict(self) -> dict[str, Any]:
        """The charge as a JSON object."""
        return {
            "kind": self.kind,
            "sigma": self.sigma,
            "sensitivity_squared": self.sensitivity_squared,
            "dimension": self.dimension,
        }


@dataclass(frozen=True, slots=True)
class PureCharge:
    """A mechanism of which only its pure ε is known.

    Its figures are those of randomised response with that ε, of which every ε-DP mechanism is
    post-processing (Kairouz, Oh & Viswanath 2015, arXiv 1311.0776).

    Attributes:
        total_epsilon: 0 to 1e50.
    """

    kind: ClassVar[str] = "pure"
    is_pure: ClassVar[bool] = True

    total_epsilon: float

    def __post_init__(self) -> None:
        require_number("epsilon", self.total_epsilon, 0, _LARGEST_EPSILON)

    def epsilon(self, delta: float) -> float:  # noqa: ARG002 - pure: the same ε at every δ
        """The ε of this release alone."""
        return self.total_epsilon

    def rdp(self, orders: NDArray[np.float64]) -> NDArray[np.float64]:
        """The Rényi divergence of each order of randomised response."""
        if self.total_epsilon == 0:
            return np.zeros_like(orders)
        return _discrete_laplace_divergences(orders, self.total_epsilon, 1)

    def to_dict(self) -> dict[str, Any]:
        """The charge as a JSON object."""
        return {"kind": self.kind, "epsilon": self.total_epsilon}


Charge = LaplaceCharge | GaussianCharge | PureCharge


def charge_from_dict(fields: Mapping[str, Any]) -> Charge:
    """The charge that `to_dict` wrote.

    Raises:
        InvalidValueError: if the object is no charge, or has values that none can have.
    """
    match fields:
        case {"kind": "laplace", "scale": scale, "sensitivity": sensitivity, **rest} if not rest:
            return LaplaceCharge(scale, sensitivity)
        case {
            "kind": "gaussian",
            "sigma": sigma,
            "sensitivity_squared": sensitivity_squared,
            "dimension": dimension,
            **rest,
        } if not rest:
            return GaussianCharge(sigma, sensitivity_squared, dimension)
        case {"kind": "pure", "epsilon": epsilon, **rest} if not rest:
            return PureCharge(epsilon)
        case _:
            raise InvalidValueError("charge", fields, "a laplace, gaussian or pure charge")


def rounded_up(exact: Fraction) -> float:
    """The smallest float that is not below an exact positive number."""
    nearest = float(exact)
    return nearest if Fraction(nearest) >= exact else math.nextafter(nearest, math.inf)


def _discrete_laplace_divergences(
    orders: NDArray[np.float64], epsilon: float, shift: int
) -> NDArray[np.float64]:
    """Rényi divergences between discrete Laplace noise and itself moved by an integer.

    With k the shift and p = e^{−ε/k} the masses are (1 − p)/(1 + p)·p^|n|, and Σ P(n)^α Q(n)^{1−α}
    splits at 0 and at k into geometric series:

        (e^{(α−1)ε} + e^{−αε} + (1 − p) Σ_{n=1}^{k−1} p^{(1−α)k + (2α−1)n}) / (1 + p).

    A bound on the rounding error is added; the result is cut off at αε²/2 and at ε, which bound
    every ε-DP mechanism (Bun & Steinke 2016, arXiv 1605.02065, Proposition 3.3).
    """
    excess, rate = orders - 1, epsilon / shift
    log_sum = np.logaddexp(excess * epsilon, -orders * epsilon)
    if shift > 1:
        log_ratio = -(2 * orders - 1) * rate
        log_series = np.log(-np.expm1((shift - 1) * log_ratio)) - np.log(-np.expm1(log_ratio))
        inner = math.log(-math.expm1(-rate)) + excess * epsilon + log_ratio + log_series
        log_sum = np.logaddexp(log_sum, inner)
    log_sum -= math.log1p(math.exp(-rate))
    rounding = 2.0**-50 * (1 + orders * epsilon)
    return np.minimum((log_sum + rounding) / excess, np.minimum(orders * epsilon / 2, 1) * epsilon)
