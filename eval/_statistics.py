"""Confidence in what was measured: intervals over trials."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import beta
from scipy.stats import t as student

__all__ = ["at_least", "at_most", "clipped", "interval", "named", "share"]


def at_most(hits: int, trials: int, confidence: float) -> float:
    """An upper confidence limit of a probability (Clopper & Pearson 1934), one-sided."""
    return 1.0 if hits == trials else float(beta.ppf(confidence, hits + 1, trials - hits))


def at_least(hits: int, trials: int, confidence: float) -> float:
    """A lower confidence limit of a probability, one-sided."""
    return 1.0 - at_most(trials - hits, trials, confidence)


def share(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float, float]:
    """A share and its two-sided interval (Clopper & Pearson 1934)."""
    one_sided = (1 + confidence) / 2
    return hits / trials, at_least(hits, trials, one_sided), at_most(hits, trials, one_sided)


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The mean and Student's 95 % interval around it; without width for a single trial."""
    mean = float(np.mean(values))
    if len(values) == 1:
        return mean, mean, mean
    spread = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = float(student.ppf(0.975, len(values) - 1)) * spread
    return mean, mean - half, mean + half


def clipped(values: tuple[float, ...]) -> tuple[float, ...]:
    """Shares within 0 to 1."""
    return tuple(min(1.0, max(0.0, value)) for value in values)


def named(name: str, values: tuple[float, ...]) -> dict[str, float]:
    """A figure and its interval as columns."""
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
