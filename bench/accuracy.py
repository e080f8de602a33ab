"""How accurate a month of daily numbers is, per mechanism, at the same budget.

Every mechanism gets the budget that one month's series gets by default (80 % of 3.0 for DAU, of
3.5 for MAU, at δ = 1e-6) and its own best calibration: exact sensitivity over the same presence
set, and the exact continuous Gaussian curve, which is slightly better than what any of them can
have with integers. Ours is as it is released, discretisation included.

Run: PYTHONPATH=tools python bench/accuracy.py [--json FILE]
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import rivals
from dpdau.privacy.continual import standard_errors
from dpdau.privacy.gaussian_curve import gaussian_mu
from dpdau.privacy.strategy import Presence, make_plan

DAYS = 31
DELTA = 1e-6
SERIES_SHARE = 0.8
DAU_BUDGET = 3.0
MAU_BUDGET = 3.5


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
    return rivals.root_mean_square(standard_errors(plan))


def independent_gaussian(series: Series) -> float:
    """Fresh Gaussian noise every day; a user who is present every day moves the month by √T."""
    return rivals.independent(DAYS).std_error(gaussian_mu(series.epsilon, DELTA))


def laplace(series: Series) -> float:
    """Fresh discrete Laplace noise every day."""
    return rivals.laplace_std_error(DAYS, series.epsilon)


def with_bounded_flips(
    make: Callable[[int, int], rivals.LinearRival],
) -> Callable[[Series], float | None]:
    """The error of a rival that needs a bound on flips."""

    def error(series: Series) -> float | None:
        if series.flips is None:
            return None
        return make(DAYS, series.flips // 2).std_error(gaussian_mu(series.epsilon, DELTA))

    return error


MECHANISMS: dict[str, Callable[[Series], float | None]] = {
    "this product": ours,
    "square-root factorisation": with_bounded_flips(rivals.square_root),
    "independent Gaussian noise": independent_gaussian,
    "binary tree, unused sums left out": with_bounded_flips(rivals.pruned_binary_tree),
    "binary tree": with_bounded_flips(rivals.binary_tree),
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
