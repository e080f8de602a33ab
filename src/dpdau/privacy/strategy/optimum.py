"""The optimum for at most r runs, by column generation on the dual.

The dual maximises tr √M_λ over distributions λ on V. On a small active set the multiplicative
update λ_v ← λ_v·(vᵀM^(−1/2)v / tr √M)^η climbs; then every pattern of V is visited, those on which
P = M^(−1/2)/tr √M exceeds 1 most are added, and the search repeats. Since tr(P⁻¹) = (tr √M)² for
that P, the true relative gap in variance is max over V of vᵀPv, less one: the stopping rule is the
certificate itself.

V and the objective are the same under time reversal, so a pattern shares its weight with its
mirror image, which halves the active set.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dpdau.privacy.strategy.patterns import Block, Runs, blocks, corner_sums, runs_of
from dpdau.privacy.strategy.witness import Witness

__all__ = ["Optimum", "solve"]

_VARIANCE_GAP = 1.2e-3
"""Stop here: 0.06 % of the standard error, which leaves room for rounding C."""

_MOST_ROUNDS = 80
_UPDATES_PER_ROUND = 100
_PATTERNS_PER_ROUND = 100
_FRESH_WEIGHT = 0.01
_SMALLEST_WEIGHT = 1e-6
_WITNESS_SHARE = 0.995
"""The lightest patterns, up to the rest of the weight, are left out: the bound hardly changes."""

_Flips: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Optimum:
    """A nearly optimal design.

    Attributes:
        gram: P with max over V of vᵀPv = 1, shape (T, T).
        witness: the distribution that proves it nearly optimal.
    """

    gram: NDArray[np.float64]
    witness: Witness


def solve(days: int, most_runs: int, most_rounds: int = _MOST_ROUNDS) -> Optimum:
    """The design of least mean variance for patterns with at most that many runs.

    Deterministic. Work grows with the number of patterns, Σ C(days + 1, 2k).

    Args:
        days: T.
        most_runs: r.
        most_rounds: give up improving after so many searches over all patterns; the design is
            as valid, only less near the optimum.
    """
    active = _ActiveSet(days, most_runs)
    best = _Candidate(np.inf, np.eye(days), Witness())
    for _ in range(most_rounds):
        gram = active.climb()
        largest, violated = _most_violated(gram, most_runs)
        if largest - 1 < best.gap:
            best = _Candidate(largest - 1, gram / largest, active.witness())
        if best.gap <= _VARIANCE_GAP:
            break
        active.extend(violated)
    return Optimum(best.gram, best.witness)


@dataclass(frozen=True, slots=True)
class _Candidate:
    gap: float
    gram: NDArray[np.float64]
    witness: Witness


class _ActiveSet:
    """The patterns with weight, and their weights.

    Patterns are rows of flips, padded in front with zeros, which stand for no day.
    """

    def __init__(self, days: int, most_runs: int) -> None:
        self._days = days
        self._signs = np.resize([-1.0, 1.0], 2 * most_runs)
        starts, ends = np.triu_indices(days + 1, 1)
        singles = zip(starts.tolist(), ends.tolist(), strict=True)
        self._patterns = sorted({self._canonical(flips) for flips in singles})
        self._weights = np.full(len(self._patterns), 1 / len(self._patterns))
        half = np.eye(days)[:, : (days + 1) // 2]
        even, odd = half + half[::-1], half[:, : days // 2] - half[::-1, : days // 2]
        self._bases = [part / np.linalg.norm(part, axis=0) for part in (even, odd)]

    def climb(self) -> NDArray[np.float64]:
        """Improve the weights; returns P = M^(−1/2)/tr √M.

        The exponent η = 2 climbs fastest and η = 1 settles, so they take turns.
        """
        flips = self._padded()
        rows, columns = flips[:, :, None], flips[:, None, :]
        signs = self._signs[:, None] * self._signs
        for update in range(_UPDATES_PER_ROUND):
            gram = self._gram(flips)
            values = np.einsum("nij,ij->n", corner_sums(gram)[rows, columns], signs)
            if values.max() - 1 <= _VARIANCE_GAP / 3:
                break
            self._weights *= values ** (2.0 if update % 3 else 1.0)
            self._weights /= self._weights.sum()
        return self._gram(flips)

    def extend(self, violated: list[_Flips]) -> None:
        """Drop what has no weight left and add violated patterns with a little."""
        kept = self._weights > _SMALLEST_WEIGHT
        patterns = [p for p, keep in zip(self._patterns, kept, strict=True) if keep]
        known = set(patterns)
        fresh = list(dict.fromkeys(self._canonical(flips) for flips in violated))
        fresh = [flips for flips in fresh if flips not in known][:_PATTERNS_PER_ROUND]
        weights = self._weights[kept] / self._weights[kept].sum()
        if fresh:
            share = np.full(len(fresh), _FRESH_WEIGHT / len(fresh))
            weights = np.concatenate([weights * (1 - _FRESH_WEIGHT), share])
        self._patterns = patterns + fresh
        self._weights = weights

    def witness(self) -> Witness:
        """The weights, each shared with the mirror image, without the negligible ones."""
        heaviest = np.argsort(-self._weights, kind="stable")
        covered = np.cumsum(self._weights[heaviest])
        kept = np.sort(heaviest[: 1 + int(np.searchsorted(covered, _WITNESS_SHARE))])
        weights = self._weights / self._weights[kept].sum()
        patterns: list[tuple[Runs, float]] = []
        for i in kept:
            flips = self._patterns[i]
            images = sorted({flips, self._mirror(flips)})
            share = float(weights[i]) / len(images)
            patterns += [(runs_of(image), share) for image in images]
        return Witness(patterns=tuple(patterns))

    def _gram(self, flips: NDArray[np.intp]) -> NDArray[np.float64]:
        """M^(−1/2)/tr √M, from the halves of M on even and on odd vectors."""
        moment = self._moment(flips)
        gram = np.zeros_like(moment)
        trace = 0.0
        for basis in self._bases:
            values, vectors = np.linalg.eigh(basis.T @ moment @ basis)
            roots = np.sqrt(np.maximum(values, np.finfo(float).tiny))
            directions = basis @ vectors
            gram += (directions / roots) @ directions.T
            trace += float(roots.sum())
        return (gram + gram.T) / (2 * trace)

    def _moment(self, flips: NDArray[np.intp]) -> NDArray[np.float64]:
        """M_λ: the weights are put on the corners (pᵢ, pⱼ) and summed up from there."""
        size = self._days + 1
        cells = flips[:, :, None] * size + flips[:, None, :]
        weights = self._weights[:, None, None] * (self._signs[:, None] * self._signs)
        corners = np.bincount(cells.ravel(), weights.ravel(), size * size).reshape(size, size)
        sums = corners[::-1, ::-1].cumsum(axis=0).cumsum(axis=1)[::-1, ::-1]
        moment = sums[1:, 1:]
        return np.asarray((moment + moment[::-1, ::-1]) / 2)

    def _padded(self) -> NDArray[np.intp]:
        width = len(self._signs)
        return np.array([(0,) * (width - len(flips)) + flips for flips in self._patterns])

    def _mirror(self, flips: _Flips) -> _Flips:
        return tuple(self._days - flip for flip in reversed(flips))

    def _canonical(self, flips: _Flips) -> _Flips:
        return min(flips, self._mirror(flips))


def _most_violated(gram: NDArray[np.float64], most_runs: int) -> tuple[float, list[_Flips]]:
    """The maximum over V of vᵀPv, exactly, and the patterns with the largest values, largest first."""
    largest = 0.0
    found: list[tuple[float, _Flips]] = []
    threshold = 1 + _VARIANCE_GAP / 2
    for block in blocks(gram, most_runs):
        tops = np.asarray(block.values.max(axis=1), dtype=np.float64)
        largest = max(largest, float(tops.max()))
        found += _heads_above(block, tops, threshold)
        if len(found) > 8 * _PATTERNS_PER_ROUND:
            found = sorted(found, reverse=True)[: 2 * _PATTERNS_PER_ROUND]
            threshold = max(threshold, found[-1][0])
    return largest, [flips for _, flips in sorted(found, reverse=True)]


def _heads_above(
    block: Block, tops: NDArray[np.float64], threshold: float
) -> list[tuple[float, _Flips]]:
    """The best pattern of each head that exceeds the threshold, the best heads only."""
    rows = np.flatnonzero(tops > threshold)
    rows = rows[np.argsort(tops[rows])[::-1][:_PATTERNS_PER_ROUND]]
    columns = block.values[rows].argmax(axis=1)
    return [
        (float(tops[row]), block.flips(int(row), int(column)))
        for row, column in zip(rows, columns, strict=True)
    ]
