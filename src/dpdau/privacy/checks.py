"""The conditions on parameters that several mechanisms share."""

from typing import Any

from dpdau.errors import InvalidValueError

__all__ = [
    "SENSITIVITY_BITS",
    "require_calibratable",
    "require_count",
    "require_noise",
    "require_number",
    "require_probability",
]

SENSITIVITY_BITS = 64
"""Sensitivities and dimensions are at most two to this."""


_SMALLEST_EPSILON = 1e-9
_LARGEST_EPSILON = 1e9
# Far beyond all that is useful, and near enough that no figure of any charge overflows.
_LEAST_NOISE = 1e-30
_MOST_NOISE = 1e30


def require_number(name: str, value: Any, low: float, high: float) -> None:
    """Fail unless the value is an int or float from low to high."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and low <= value <= high):
        raise InvalidValueError(name, value, f"a number from {low:g} to {high:g}")


def require_count(name: str, value: Any, bits: int) -> None:
    """Fail unless the value is an int from 1 to 2^bits."""
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if not (is_integer and 1 <= value <= 2**bits):
        raise InvalidValueError(name, value, f"an integer from 1 to 2^{bits}")


def require_noise(name: str, value: Any) -> None:
    """Fail unless the value can be a scale or σ: 1e-30 to 1e30."""
    require_number(name, value, _LEAST_NOISE, _MOST_NOISE)


def require_probability(name: str, value: float) -> None:
    """Fail unless the value lies strictly between 0 and 1."""
    if not 0 < value < 1:
        raise InvalidValueError(name, value, "a number between 0 and 1")


def require_calibratable(epsilon: float) -> None:
    """Fail unless noise can be calibrated for this ε: 1e-9 to 1e9, where searches are tested."""
    require_number("epsilon", epsilon, _SMALLEST_EPSILON, _LARGEST_EPSILON)
