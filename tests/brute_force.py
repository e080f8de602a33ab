"""Presence patterns the slow way: every binary vector, one by one."""

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["largest_squared_norm", "number_of_runs", "patterns"]


def number_of_runs(vector: Sequence[int]) -> int:
    """How often the vector rises, counting from zero before it."""
    return sum(1 for before, now in itertools.pairwise([0, *vector]) if (before, now) == (0, 1))


def patterns(days: int, most_runs: int) -> list[tuple[int, ...]]:
    """All binary vectors of that length with 1 to `most_runs` runs."""
    vectors = itertools.product((0, 1), repeat=days)
    return [vector for vector in vectors if 1 <= number_of_runs(vector) <= most_runs]


def largest_squared_norm(rows: Sequence[Sequence[int]], vectors: Sequence[Sequence[int]]) -> int:
    """The largest ‖Cv‖², in Python's integers."""
    matrix: NDArray[np.object_] = np.array(rows, dtype=object)
    images = np.array(vectors, dtype=object) @ matrix.T
    return int((images**2).sum(axis=1).max())
