"""The sensitivity of an integer strategy: max over v in V of ‖Cv‖², certified.

Three ways, none of which samples. Each takes the integer matrix that will be measured, so the
rounding of a real-valued design is inside the figure and needs no error term.

1. `by_prefix_counts`, exact over {0, 1}^T, and so a bound over less, for any C whose rows are constant left of the diagonal,
   C[i, j] = −cᵢ for j < i and C[i, i] = dᵢ: then (Cv)ᵢ = dᵢvᵢ − cᵢ·(v₀ + … + vᵢ₋₁) depends on
   the past only through how many days were active, and the maximum over all of {0, 1}^T is a
   dynamic programme over (day, count) in O(T²) integer steps.
2. `by_enumeration`, exact for any C and at most r runs: every pattern, in 64-bit integers.
3. `by_alternating_flips`, an upper bound for at most r runs and any T. With δ the differences of
   v (δ = +1 at rises, −1 at falls, so the signs alternate) and X = (CA)ᵀ(CA), A the prefix sums,

       ‖Cv‖² = δᵀXδ = Σᵢ [ X(pᵢ, pᵢ) + 2·Σ over j > i of (−1)^(j−i) X(pᵢ, pⱼ) ].

   If X is non-negative and does not increase to the right of the diagonal, then for each i the
   inner sum is −a₁ + a₂ − a₃ + … with a₁ ≥ a₂ ≥ … ≥ 0, which is at most −a₁ + a₂. Hence
   ‖Cv‖² ≤ Σᵢ [X(pᵢ, pᵢ) − 2X(pᵢ, pᵢ₊₁) + 2X(pᵢ, pᵢ₊₂)], missing terms being zero, and the
   maximum of the right side over day sequences is a dynamic programme over pairs of flips. Both
   conditions are checked on the integer X itself.
"""

from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dpdau.errors import InvalidPlanError
from dpdau.privacy.strategy.patterns import blocks
from dpdau.privacy.strategy.presence import Presence

__all__ = [
    "Certificate",
    "Rows",
    "by_alternating_flips",
    "by_enumeration",
    "by_prefix_counts",
    "can_enumerate",
    "certified_sensitivity",
    "is_flat",
]

Rows: TypeAlias = tuple[tuple[int, ...], ...]
"""A square lower-triangular integer matrix, row by row."""

_MOST_PATTERNS = 12_000_000
"""What is enumerated: about a second of work."""

_INT64_ROOM = 2**62


class Certificate(StrEnum):
    """How a strategy's sensitivity is certified."""

    PREFIX_COUNTS = "prefix-counts"
    ENUMERATION = "enumeration"
    ALTERNATING_FLIPS = "alternating-flips"


def can_enumerate(days: int, presence: Presence) -> bool:
    """Whether all patterns can be visited within about a second."""
    return presence.count(days) <= _MOST_PATTERNS


@lru_cache(maxsize=64)
def certified_sensitivity(rows: Rows, presence: Presence) -> tuple[int, Certificate]:
    """A proven max of ‖Cv‖² over the presence set, and how it was proven.

    Formal guarantees:
        The figure is at least ‖Cv‖² for every v in V. It is the maximum itself, except for
        patterns with bounded runs that are too many to enumerate, where it is an upper bound.
        Integer arithmetic throughout. The module states the three arguments.

    Args:
        rows: the integer strategy C, square and lower-triangular.
        presence: the presence set V.

    Raises:
        InvalidPlanError: no certificate applies to this matrix and set.
    """
    flat = is_flat(rows)
    if flat and presence.is_everything(len(rows)):
        return by_prefix_counts(rows), Certificate.PREFIX_COUNTS
    if can_enumerate(len(rows), presence):
        return by_enumeration(rows, presence), Certificate.ENUMERATION
    if flat:
        return by_prefix_counts(rows), Certificate.PREFIX_COUNTS
    return by_alternating_flips(rows, presence), Certificate.ALTERNATING_FLIPS


def is_flat(rows: Rows) -> bool:
    """Whether every row is constant left of the diagonal."""
    return all(len(set(row[:i])) <= 1 for i, row in enumerate(rows))


def by_prefix_counts(rows: Rows) -> int:
    """The exact maximum of ‖Cv‖² over all binary vectors, for a flat strategy.

    Precondition: `is_flat(rows)`.
    """
    best: list[int] = [0]  # best[s]: largest sum of squares so far with s active days
    for i, row in enumerate(rows):
        weight = row[0] if i else 0
        absent = [value + (weight * s) ** 2 for s, value in enumerate(best)]
        present = [value + (weight * s + row[i]) ** 2 for s, value in enumerate(best)]
        best = [max(absent[s] if s <= i else -1, present[s - 1] if s else -1) for s in range(i + 2)]
    return max(best)


def by_enumeration(rows: Rows, presence: Presence) -> int:
    """The exact maximum of ‖Cv‖² over patterns with at most the set's runs.

    Raises:
        InvalidPlanError: the entries are too large for exact 64-bit integers.
    """
    gram = _gram(_int64(rows))
    most_runs = presence.most_runs(len(rows))
    _require_room((4 * most_runs) ** 2 * int(np.abs(gram).sum()))
    return max(int(block.values.max()) for block in blocks(gram, most_runs))


def by_alternating_flips(rows: Rows, presence: Presence) -> int:
    """An upper bound on ‖Cv‖² over patterns with at most the set's runs.

    Raises:
        InvalidPlanError: the strategy does not satisfy the bound's conditions.
    """
    matrix = _int64(rows)
    _require_room(len(rows) * int(np.abs(matrix).sum(axis=1).max()) ** 2 * 8 * len(rows))
    gram = _gram(np.cumsum(matrix[:, ::-1], axis=1)[:, ::-1])
    growth = np.diff(gram, axis=1)[np.triu_indices(len(rows), 0, len(rows) - 1)]
    if (np.triu(gram) < 0).any() or (growth > 0).any():
        message = (
            "The strategy's sensitivity cannot be certified: it is neither constant left of the "
            "diagonal, nor small enough to enumerate, nor decreasing away from the diagonal."
        )
        raise InvalidPlanError(message)
    return _best_flips(gram, 2 * presence.most_runs(len(rows)))


def _best_flips(gram: NDArray[np.int64], most_flips: int) -> int:
    """Max over at most that many flips of the alternating bound, by dynamic programming.

    `tail[p, q]` is the most that flips from p on can give if the next one is q.
    """
    days = len(gram)
    diagonal = np.diagonal(gram)
    lone = diagonal[:, None] - 2 * gram
    stop = lone + diagonal[None, :]
    tail = stop
    for _ in range(most_flips - 2):
        longer = stop.copy()
        for q in range(1, days - 1):
            onward = (2 * gram[:q, q + 1 :] + tail[q, q + 1 :]).max(axis=1)
            longer[:q, q] = np.maximum(stop[:q, q], lone[:q, q] + onward)
        if np.array_equal(longer, tail):
            break
        tail = longer
    pairs = tail[np.triu_indices(days, 1)]
    return int(max(diagonal.max(), pairs.max(initial=0)))


def _int64(rows: Rows) -> NDArray[np.int64]:
    largest = max(abs(entry) for row in rows for entry in row)
    _require_room(len(rows) * largest**2)
    return np.array(rows, dtype=np.int64)


def _gram(matrix: NDArray[np.int64]) -> NDArray[np.int64]:
    return matrix.T @ matrix


def _require_room(bound: int) -> None:
    if bound >= _INT64_ROOM:
        message = "The strategy's entries are too large for exact 64-bit integers; lower the scale."
        raise InvalidPlanError(message)
