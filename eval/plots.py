"""Draw the results of an experiment, as PNG and SVG under `DATA_DIR/plots/EXPERIMENT_ID/`.

python eval/plots.py [--experiment NAME]
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console

import _figures
from _experiment import Experiment, open_experiment
from dpdau.errors import DpdauError

__all__ = ["FIGURES", "draw", "main"]

# Figure -> the table that it is made of.
FIGURES: dict[Callable[[_figures.Rows], Figure], str] = {
    _figures.error_by_epsilon: "accuracy",
    _figures.error_by_population: "population",
    _figures.error_by_flips: "flips",
    _figures.month: "month",
    _figures.budget: "budget",
    _figures.certificate: "certificate",
    _figures.baselines: "baselines",
    _figures.adversaries: "adversaries",
    _figures.audit: "audit",
}


def draw(experiment: Experiment) -> tuple[list[Path], list[str]]:
    """Draw whatever can be drawn.

    Returns:
        The PNG files, and the names of the tables that have not been made.
    """
    experiment.plots.mkdir(parents=True, exist_ok=True, mode=0o700)
    drawn, missing = [], []
    for figure_of, table in FIGURES.items():
        if not experiment.has(table):
            missing.append(table)
            continue
        path = experiment.plots / f"{figure_of.__name__}.png"
        with _figures.styled():
            figure = figure_of(experiment.read(table))
            figure.savefig(path)
            figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        drawn.append(path)
    return drawn, missing


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw; returns the exit code."""
    parser = argparse.ArgumentParser(description="Draw the results of an experiment.")
    parser.add_argument("--experiment", metavar="NAME", help="by default EXPERIMENT_ID")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, soft_wrap=True)
    try:
        experiment = open_experiment(options.experiment)
        drawn, missing = draw(experiment)
    except DpdauError as error:
        console.print(f"Error: {error.message}", markup=False)
        return error.exit_code
    for path in drawn:
        console.print(str(path), markup=False)
    for table in missing:
        console.print(f"Not drawn: {table} has not been made; `make eval` makes it.", markup=False)
    return 0 if drawn else 1


if __name__ == "__main__":
    sys.exit(main())
