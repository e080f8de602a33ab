"""All vectors with at most r runs, and the quadratic form vᵀXv on each of them.

A vector with k runs is given by its 2k flips p1 < … < p2k among 0..T: it is one on the days
[p1, p2), [p3, p4), …. With the corner sums S[p, q] = Σ over i < p, j < q of X[i, j],

    vᵀXv = Σ over i, j of sᵢ sⱼ S[pᵢ, pⱼ],    s = −, +, −, +, …

so a vector costs a few additions, not T², and all of them are visited in blocks. The same code
serves floats (the search for violated patterns) and 64-bit integers (the exact sensitivity).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Block", "Runs", "blocks", "corner_sums", "flips_of", "runs_of", "vector"]

Runs: TypeAlias = tuple[tuple[int, int], ...]
"""A presence pattern: its runs as half-open intervals [start, end) of days, in order."""

_Number = TypeVar("_Number", np.float64, np.int64)

_BLOCK_SIZE = 250_000
"""Values per block: a few megabytes, so that a block stays in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Block:
    """The values of many patterns that share how many runs they have.

    Attributes:
        heads: flips of all runs but the last, shape (n, 2k - 2).
        starts: first days of the last run, shape (m,).
        ends: days after the last run, shape (m,).
        values: vᵀXv of every head with every last run, shape (n, m).
    """

    heads: NDArray[np.int16]
    starts: NDArray[np.intp]
    ends: NDArray[np.intp]
    values: NDArray[np.generic]

    def flips(self, row: int, column: int) -> tuple[int, ...]:
        """The flips of one pattern of the block."""
        head = tuple(int(flip) for flip in self.heads[row])
        return (*head, int(self.starts[column]), int(self.ends[column]))


def corner_sums(gram: NDArray[_Number]) -> NDArray[_Number]:
    """S of shape (T + 1, T + 1) from X of shape (T, T)."""
    days = len(gram)
    sums = np.zeros((days + 1, days + 1), dtype=gram.dtype)
    sums[1:, 1:] = gram.cumsum(axis=0).cumsum(axis=1)
    return sums


def blocks(gram: NDArray[_Number], most_runs: int) -> Iterator[Block]:
    """Every pattern with 1 to `most_runs` runs, each exactly once, with its vᵀXv.

    Args:
        gram: the symmetric matrix X, shape (T, T), of floats or of integers small enough that
            (4 · most_runs)² times the sum of their absolute values is an int64.
        most_runs: the most runs r; there are Σ C(T + 1, 2k) patterns.
    """
    corners = corner_sums(gram)
    for runs in range(1, most_runs + 1):
        heads = _increasing_tuples(len(corners), 2 * runs - 2)
        if runs == 1:
            yield from _blocks_after(corners, heads, after=-1)
            continue
        last = heads[:, -1]
        for after in range(2 * runs - 3, len(corners) - 2):
            yield from _blocks_after(corners, heads[last == after], after)


def _blocks_after(
    corners: NDArray[np.generic], heads: NDArray[np.int16], after: int
) -> Iterator[Block]:
    """Blocks of heads whose last flip is `after`, each with all later last runs."""
    first, second = np.triu_indices(len(corners) - after - 1, 1)
    starts, ends = first + after + 1, second + after + 1
    diagonal = np.diagonal(corners)
    alone = diagonal[starts] + diagonal[ends] - 2 * corners[starts, ends]
    step = max(1, _BLOCK_SIZE // len(starts))
    for offset in range(0, len(heads), step):
        part = heads[offset : offset + step]
        cross = np.zeros((len(part), len(corners)), dtype=corners.dtype)
        for i in range(part.shape[1]):
            cross += (2 * (i % 2) - 1) * corners[part[:, i]]
        own = np.zeros(len(part), dtype=corners.dtype)
        rows = np.arange(len(part))
        for i in range(part.shape[1]):
            own += (2 * (i % 2) - 1) * cross[rows, part[:, i]]
        cross *= 2
        values = cross[:, ends]
        values -= cross[:, starts]
        values += alone
        values += own[:, None]
        yield Block(part, starts, ends, values)


def _increasing_tuples(below: int, length: int) -> NDArray[np.int16]:
    """All increasing tuples of that length among 0..below - 1, shape (n, length)."""
    tuples = np.zeros((1, 0), dtype=np.int16)
    for i in range(length):
        last = tuples[:, -1].astype(np.intp) if i else np.full(1, -1, dtype=np.intp)
        counts = below - 1 - last
        rows = np.repeat(np.arange(len(tuples)), counts)
        offsets = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        column = (last[rows] + 1 + offsets).astype(np.int16)
        tuples = np.concatenate([tuples[rows], column[:, None]], axis=1)
    return tuples


def runs_of(flips: tuple[int, ...]) -> Runs:
    """The runs that begin and end with these flips."""
    return tuple(zip(flips[::2], flips[1::2], strict=True))


def flips_of(runs: Runs) -> tuple[int, ...]:
    """The flips of these runs, in order."""
    return tuple(flip for run in runs for flip in run)


def vector(runs: Runs, days: int) -> NDArray[np.float64]:
    """The pattern as zeros and ones, shape (days,)."""
    ones = np.zeros(days)
    for start, end in runs:
        ones[start:end] = 1.0
    return ones
