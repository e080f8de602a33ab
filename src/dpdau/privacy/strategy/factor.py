"""From a real design P to the integer rows that are measured, and their error."""

import numpy as np
from numpy.typing import NDArray

from dpdau.privacy.strategy.sensitivity import Rows

__all__ = ["SCALE", "error_per_sensitivity", "inverse", "reversed_cholesky", "rounded"]

SCALE = 2**16
"""The largest ‖Cv‖, about: entries are rounded to 1/65,536 of it, which costs error of 1e-4 or
less, and a row of totals of ten million users stays far inside 64 bits."""


def reversed_cholesky(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lower-triangular C with CᵀC = P and a positive diagonal."""
    upper = np.linalg.cholesky(gram[::-1, ::-1])
    return np.ascontiguousarray(upper.T[::-1, ::-1])


def rounded(matrix: NDArray[np.float64]) -> Rows:
    """The rows times `SCALE`, rounded to integers."""
    return tuple(tuple(int(entry) for entry in row) for row in np.rint(matrix * SCALE))


def inverse(rows: Rows) -> NDArray[np.float64]:
    """C⁻¹, lower-triangular, shape (T, T)."""
    matrix = np.array(rows, dtype=np.float64)
    return np.tril(np.linalg.solve(matrix, np.eye(len(rows))))


def error_per_sensitivity(rows: Rows, sensitivity_squared: int) -> float:
    """Root-mean-square standard error over the days, for σ = 1 and unit sensitivity.

    √(s²·tr((CᵀC)⁻¹)/T) with s² the sensitivity squared of C itself: what remains when C and σ
    are scaled together.
    """
    variance = float((inverse(rows) ** 2).sum())
    return float(np.sqrt(sensitivity_squared * variance / len(rows)))
