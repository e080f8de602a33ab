"""What else would publish a period of daily counts privately, each at its best calibration.

A linear rival measures B·x with Gaussian noise, x being the presence totals of T days, and answers
A·(that), where A·B = I. One user changes x by some v of a presence set, so the sensitivity is the
largest ‖B·v‖ over that set.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import opendp.prelude as dp
from numpy.typing import NDArray

from dpdau.privacy.strategy.patterns import blocks

__all__ = [
    "LinearRival",
    "binary_tree",
    "independent",
    "laplace_release",
    "laplace_std_error",
    "pruned_binary_tree",
    "root_mean_square",
    "square_root",
    "zcdp_mu",
]

dp.enable_features("contrib")

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LinearRival:
    """Gaussian noise on linear measurements.

    Attributes:
        measured: B, of shape (measurements, T).
        answered: A, of shape (T, measurements).
        sensitivity: the largest ‖B·v‖ over the presence set.
    """

    measured: Array
    answered: Array
    sensitivity: float

    def std_error(self, mu: float) -> float:
        """The root-mean-square standard error over the days, in users, of a μ-GDP release."""
        norms = np.linalg.norm(self.answered, axis=1)
        return self.sensitivity / mu * root_mean_square(norms)

    def release(self, totals: NDArray[np.int64], mu: float) -> Array:
        """Estimates, with noise from OpenDP's sampler; μ-GDP but for its rounding.

        Args:
            totals: T presence totals, or a column of them for each of several periods.
            mu: of each period.
        """
        vectors = dp.vector_domain(dp.atom_domain(T=float, nan=False))
        distance = dp.l2_distance(T=float)
        measure = dp.m.make_gaussian(vectors, distance, scale=self.sensitivity / mu)
        exact = self.measured @ totals
        noisy: Array = np.reshape(measure(exact.ravel().tolist()), exact.shape)
        return self.answered @ noisy


def independent(days: int, most_days: int | None = None) -> LinearRival:
    """Fresh noise every day, for users who are present on any or on at most `most_days` days."""
    each = np.eye(days)
    return LinearRival(each, each, math.sqrt(days if most_days is None else min(days, most_days)))


def binary_tree(days: int, runs: int) -> LinearRival:
    """Sums of changes over dyadic stretches of days (Jain et al. 2023, arXiv 2306.06723).

    A day's estimate adds up the stretches of its binary expansion. The whole tree is measured, as in
    the paper, over the next power of two of days; there the days after the last have no event.
    """
    padded = 1 << days.bit_length()
    levels = range(days.bit_length())
    tree = [(k << level, (k + 1) << level) for level in levels for k in range(padded >> level)]
    return _from_stretches(days, runs, tree)


def pruned_binary_tree(days: int, runs: int) -> LinearRival:
    """The same without the stretches that no day's estimate uses, which cost for nothing."""
    used = {node for day in range(1, days + 1) for node in _expansion(day)}
    return _from_stretches(days, runs, sorted(used))


def square_root(days: int, runs: int) -> LinearRival:
    """Changes factorised by the square root of the prefix-sum matrix (arXiv 2404.16706)."""
    coefficients = np.cumprod([1.0, *((2 * k - 1) / (2 * k) for k in range(1, days))])
    lags = np.subtract.outer(np.arange(days), np.arange(days))
    root = np.where(lags >= 0, coefficients[np.abs(lags)], 0.0)
    return _of_changes(runs, measured=root, answered=root)


def laplace_std_error(days: int, epsilon: float) -> float:
    """Of fresh discrete Laplace noise every day; the daily ε add up to `epsilon`.

    Args:
        days: on how many days one user may be present.
        epsilon: of all days together.
    """
    decay = math.exp(-epsilon / days)
    return math.sqrt(2 * decay) / (1 - decay)


def laplace_release(totals: NDArray[np.int64], days: int, epsilon: float) -> Array:
    """T noisy counts, as in `laplace_std_error`."""
    vectors, distance = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
    measure = dp.m.make_laplace(vectors, distance, scale=days / epsilon)
    return np.array(measure(totals.tolist()), dtype=float)


def zcdp_mu(epsilon: float, delta: float) -> float:
    """The μ that zCDP composition allows, by ε = ρ + 2√(ρ ln 1/δ) (arXiv 1605.02065, Lemma 3.5)."""
    tail = -math.log(delta)
    return math.sqrt(2) * (math.sqrt(tail + epsilon) - math.sqrt(tail))


def root_mean_square(values: Array) -> float:
    """Over the days."""
    return float(np.sqrt((values**2).mean()))


def _expansion(day: int) -> list[tuple[int, int]]:
    """The stretches that add up to days 1 to `day`."""
    nodes = []
    while day:
        lowest = day & -day
        nodes.append((day - lowest, day))
        day -= lowest
    return nodes


def _from_stretches(days: int, runs: int, nodes: Sequence[tuple[int, int]]) -> LinearRival:
    """Measures these sums of changes and adds them up day by day."""
    measured = np.array([[start <= day < end for day in range(days)] for start, end in nodes])
    answered = np.array([[node in _expansion(day) for node in nodes] for day in range(1, days + 1)])
    return _of_changes(runs, measured.astype(float), answered.astype(float))


def _of_changes(runs: int, measured: Array, answered: Array) -> LinearRival:
    """The rival that measures linear functions of the days' changes; its sensitivity is exact."""
    days = len(answered)
    on_presence = measured @ (np.eye(days) - np.eye(days, k=-1))
    gram = on_presence.T @ on_presence
    most_runs = min(runs, (days + 1) // 2)
    largest = max(float(np.asarray(block.values).max()) for block in blocks(gram, most_runs))
    return LinearRival(on_presence, answered, math.sqrt(largest))
