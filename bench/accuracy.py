"""How accurate a month of daily numbers is, per mechanism, at the same budget.

Every mechanism gets the budget that one month's series gets by default (80 % of 3.0 for DAU, of
3.5 for MAU, at δ = 1e-6) and its own best calibration: exact sensitivity over the same presence
set, and the exact continuous Gaussian curve, which is slightly better than what any of them can
have with integers. Ours is as it is released, discretisation included.

Run: python bench/accuracy.py [--json FILE]
"""

import argparse
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from dpdau.privacy.continual import standard_errors
from dpdau.privacy.gaussian_curve import gaussian_mu
from dpdau.privacy.strategy import Presence, make_plan
from dpdau.privacy.strategy.patterns import blocks

DAYS = 31
DELTA = 1e-6
SERIES_SHARE = 0.8
DAU_BUDGET = 3.0
MAU_BUDGET = 3.5

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """What is published for a month.

    Attributes:
        name: as in the table.
        flips: the flippancy bound w, or None if presence is unbounded.
        epsilon: of the month's series.
    """

    name: str
    flips: int | None
    epsilon: float

    @property
    def presence(self) -> Presence:
        """The set of presence vectors of one user."""
        return Presence.of(DAYS, None if self.flips is None else self.flips // 2)


SERIES = (
    Series("DAU, unbounded", None, SERIES_SHARE * DAU_BUDGET),
    Series("MAU, w = 2", 2, SERIES_SHARE * MAU_BUDGET),
    Series("MAU, w = 4", 4, SERIES_SHARE * MAU_BUDGET),
    Series("MAU, w = 6", 6, SERIES_SHARE * MAU_BUDGET),
)


def ours(series: Series) -> float:
    """The standard errors that a plan states, as released."""
    plan = make_plan(DAYS, series.presence, series.epsilon, DELTA)
    return root_mean_square(standard_errors(plan))


def independent_gaussian(series: Series) -> float:
    """Fresh Gaussian noise every day; a user who is present every day moves the month by √T."""
    return math.sqrt(DAYS) / gaussian_mu(series.epsilon, DELTA)


def laplace(series: Series) -> float:
    """Fresh discrete Laplace noise every day; the daily ε add up to the month's."""
    decay = math.exp(-series.epsilon / DAYS)
    return math.sqrt(2 * decay) / (1 - decay)


def binary_tree(series: Series) -> float | None:
    """Sums of changes over dyadic stretches of days (Jain et al. 2023, arXiv 2306.06723).

    A day's estimate adds up the stretches of its binary expansion. The whole tree over 32 days is
    measured, as in the paper; its last day has no event.
    """
    levels = range(DAYS.bit_length())
    padded = 1 << DAYS.bit_length()
    tree = [(k << level, (k + 1) << level) for level in levels for k in range(padded >> level)]
    return from_stretches(series, tree)


def pruned_binary_tree(series: Series) -> float | None:
    """The same without the stretches that no day's estimate uses, which cost for nothing."""
    return from_stretches(
        series, sorted({node for day in range(1, DAYS + 1) for node in expansion(day)})
    )


def square_root(series: Series) -> float | None:
    """Changes factorised by the square root of the prefix-sum matrix (arXiv 2404.16706)."""
    if series.flips is None:
        return None
    coefficients = np.cumprod([1.0, *((2 * k - 1) / (2 * k) for k in range(1, DAYS))])
    lags = np.subtract.outer(np.arange(DAYS), np.arange(DAYS))
    root = np.where(lags >= 0, coefficients[np.abs(lags)], 0.0)
    return factorised(series, measured=root, answered=root)


def expansion(day: int) -> list[tuple[int, int]]:
    """The stretches that add up to days 1 to `day`."""
    nodes = []
    while day:
        lowest = day & -day
        nodes.append((day - lowest, day))
        day -= lowest
    return nodes


def from_stretches(series: Series, nodes: Sequence[tuple[int, int]]) -> float | None:
    """The error of measuring these sums of changes and adding them up day by day."""
    if series.flips is None:
        return None
    measured = np.array([[start <= day < end for day in range(DAYS)] for start, end in nodes])
    answered = np.array([[node in expansion(day) for node in nodes] for day in range(1, DAYS + 1)])
    return factorised(series, measured.astype(float), answered.astype(float))


def factorised(series: Series, measured: Array, answered: Array) -> float:
    """The error of measuring B·changes with Gaussian noise and answering days as A·(that).

    The sensitivity is exact: the largest norm over all patterns of the presence set.
    """
    changes = np.eye(DAYS) - np.eye(DAYS, k=-1)
    on_presence = measured @ changes
    most_runs = series.presence.most_runs(DAYS)
    gram = on_presence.T @ on_presence
    largest = max(float(np.asarray(block.values).max()) for block in blocks(gram, most_runs))
    sigma = math.sqrt(largest) / gaussian_mu(series.epsilon, DELTA)
    return sigma * root_mean_square(np.linalg.norm(answered, axis=1))


def root_mean_square(values: Array) -> float:
    """Over the days."""
    return float(np.sqrt((values**2).mean()))


MECHANISMS: dict[str, Callable[[Series], float | None]] = {
    "this product": ours,
    "square-root factorisation": square_root,
    "independent Gaussian noise": independent_gaussian,
    "binary tree, unused sums left out": pruned_binary_tree,
    "binary tree": binary_tree,
    "Laplace, naive composition": laplace,
}


def compare() -> dict[str, dict[str, float | None]]:
    """Root-mean-square standard error by series and mechanism, in users."""
    return {
        series.name: {name: error(series) for name, error in MECHANISMS.items()}
        for series in SERIES
    }


def report(errors: dict[str, dict[str, float | None]]) -> dict[str, Any]:
    """The comparison as JSON values, with errors relative to ours."""
    return {
        "days": DAYS,
        "delta": DELTA,
        "series": [
            {
                "series": series.name,
                "presence": series.presence.to_dict(),
                "epsilon": series.epsilon,
                "mechanisms": [
                    {"mechanism": name, "std_error": error, "ratio": ratio(errors, series, name)}
                    for name, error in errors[series.name].items()
                ],
            }
            for series in SERIES
        ],
    }


def ratio(
    errors: dict[str, dict[str, float | None]], series: Series, mechanism: str
) -> float | None:
    """A mechanism's error relative to ours."""
    error, own = errors[series.name][mechanism], errors[series.name]["this product"]
    return None if error is None or own is None else error / own


def as_table(errors: dict[str, dict[str, float | None]]) -> Table:
    """Errors relative to ours, ours also in users."""
    table = Table(
        title=f"Root-mean-square standard error over {DAYS} days, ours = 1, "
        f"at equal (ε, δ = {DELTA:g}) per user and month",
        caption="In brackets the error in users. A dash: not defined for unbounded presence.",
    )
    table.add_column("mechanism")
    for series in SERIES:
        table.add_column(f"{series.name}\nε = {series.epsilon:g}", justify="right")
    for name in MECHANISMS:
        cells = []
        for series in SERIES:
            error, relative = errors[series.name][name], ratio(errors, series, name)
            cells.append("–" if relative is None else f"{relative:.3f} ({error:.2f})")
        table.add_row(name, *cells)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write the JSON file if asked to."""
    parser = argparse.ArgumentParser(description="Compare the accuracy of mechanisms.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    options = parser.parse_args(arguments)
    errors = compare()
    Console(width=120).print(as_table(errors))
    if options.json:
        options.json.write_text(json.dumps(report(errors), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
