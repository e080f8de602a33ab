"""How accurate published numbers are: many months through the real pipeline, against the truth.

python eval/evaluate.py
    --sketches set theta hllpp --epsilons 0.1 0.3 0.5 1 3 --mechanisms continual gaussian laplace

Results go to `DATA_DIR/experiments/EXPERIMENT_ID/`; docs/evaluation.md says how to read them.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console

import _options
import _sweeps
from _accuracy import run_case, summary
from _cases import SIMULATED, Case, Source, Way, ways_to_publish
from _experiment import Experiment, open_experiment, run_trials, show
from dpdau.config import load_settings
from dpdau.errors import DpdauError
from dpdau.model.releases import Mechanism, Metric, SketchKind

__all__ = ["main"]

_EPSILONS = (0.1, 0.3, 0.5, 1.0, 3.0)
_MECHANISMS = (Mechanism.CONTINUAL, Mechanism.GAUSSIAN, Mechanism.LAPLACE)
_LOGS = (SIMULATED, "cdnow", "flights")
_TRIALS = 24
_POPULATIONS = (3_000, 10_000, 30_000, 100_000, 300_000)
_POPULATION_TRIALS = 6
_POPULATION_EPSILON = 3.0
_QUICK: dict[str, Any] = {
    "epsilons": [1.0],
    "trials": 2,
    "users": 400,
    "populations": (300, 900),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate; returns the exit code."""
    options = _parser().parse_args(arguments)
    defaults = {"trials": _TRIALS, "epsilons": list(_EPSILONS)} | (_QUICK if options.quick else {})
    for name in ("trials", "epsilons"):
        if getattr(options, name) is None:
            setattr(options, name, defaults[name])
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        experiment = open_experiment(options.experiment)
        evaluate(options, experiment, console)
    except DpdauError as error:
        console.print(f"Error: {error.message}", markup=False)
        return error.exit_code
    console.print(f"Results are in {experiment.results}.", markup=False)
    return 0


def evaluate(options: argparse.Namespace, experiment: Experiment, console: Console) -> None:
    """Make every table that was asked for, and print what matters of them."""
    made_with = {name: _plain(value) for name, value in sorted(vars(options).items())}
    names = options.events or options.activity or (_LOGS[:1] if options.quick else _LOGS)
    sources = [_source(str(name), options) for name in names]
    rows: list[dict[str, Any]] = []
    for source in sources:
        rows += _accuracy(source, options, console)
    experiment.write("accuracy", rows, **made_with)
    _show(rows)
    if options.sweeps:
        month, budget = _sweeps.by_day(sources[0])
        experiment.write("month", month, **made_with)
        experiment.write("budget", budget, **made_with)
        experiment.write("flips", list(_sweeps.by_flips(sources[0])), **made_with)
        experiment.write("certificate", list(_sweeps.certificates()), **made_with)
        experiment.write("population", _populations(options), **made_with)


def _accuracy(
    source: Source, options: argparse.Namespace, console: Console
) -> list[dict[str, Any]]:
    """Rows of the table `accuracy` for one log."""
    month, activity = source.month(), source.activity()
    settings = load_settings()
    users = max(1, round(len(np.unique(activity.users)) * settings.p_active))
    found = list(
        ways_to_publish(options.sketches, options.mechanisms, options.epsilons, month, users)
    )
    for reason in (each for each in found if isinstance(each, str)):
        console.print(f"Left out: {reason}.", markup=False)
    metrics = tuple(options.metrics)
    cases = [Case(source, way, metrics) for way in found if isinstance(way, Way)]
    tasks = [case for case in cases for _ in range(options.trials)]
    trials = iter(run_trials(run_case, tasks, label=f"{activity.name}, {month.name}"))
    flips = {metric: _flips(settings.presence_runs(metric)) for metric in metrics}
    return [
        row
        for case in cases
        for row in summary(case, month, [next(trials) for _ in range(options.trials)], flips)
    ]


def _populations(options: argparse.Namespace) -> list[dict[str, Any]]:
    source = _source(SIMULATED, options)
    month = source.month()
    ways = [
        way
        for way in ways_to_publish(
            [SketchKind.SET], options.mechanisms, [_POPULATION_EPSILON], month, source.users
        )
        if isinstance(way, Way)
    ]
    populations = _QUICK["populations"] if options.quick else _POPULATIONS
    trials = min(options.trials, _POPULATION_TRIALS)
    return list(_sweeps.by_population(source, ways, populations, trials))


def _source(name: str, options: argparse.Namespace) -> Source:
    settings = load_settings()
    return Source(
        name=name,
        users=options.users or (_QUICK["users"] if options.quick else settings.n_users),
        p_active=settings.p_active,
        delete_rate=settings.delete_rate,
        seed=settings.default_seed if options.seed is None else options.seed,
    )


def _flips(runs: int | None) -> int | None:
    return None if runs is None else 2 * runs


def _plain(value: Any) -> Any:
    """An option as JSON."""
    return [str(each) for each in value] if isinstance(value, (list, tuple)) else value


def _show(rows: Sequence[dict[str, Any]]) -> None:
    for activity in dict.fromkeys(row["activity"] for row in rows):
        show(
            f"{activity}: errors in users at an equal price for the month",
            [
                "metric, sketch, mechanism",
                "ε",
                "rmse",
                "95 %",
                "relative",
                "bias",
                "limiter",
                "sketch",
                "coverage",
                "composed ε",
            ],
            [
                (
                    f"{row['metric']}, {row['sketch']}, {row['mechanism']}",
                    f"{row['epsilon']:g}",
                    f"{row['rmse']:,.1f}",
                    f"{row['rmse_low']:,.1f} to {row['rmse_high']:,.1f}",
                    f"{row['relative_error']:.2%}",
                    f"{row['bias']:+,.2f}",
                    f"{row['bias_limiter']:+,.2f}",
                    f"{row['bias_sketch']:+,.2f}",
                    f"{row['coverage']:.1%}",
                    f"{row['composed_epsilon']:.4g}",
                )
                for row in rows
                if row["activity"] == activity
            ],
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Publish many months through the real pipeline and compare with the truth."
    )
    add = parser.add_argument
    add("--sketches", nargs="+", type=SketchKind, default=list(SketchKind), metavar="SKETCH")
    add(
        "--epsilons",
        nargs="+",
        type=_options.privacy_loss,
        metavar="EPSILON",
        help="what all values of one metric cost together in a month, per user "
        f"(default: {' '.join(f'{each:g}' for each in _EPSILONS)})",
    )
    add(
        "--mechanisms",
        nargs="+",
        type=Mechanism,
        default=list(_MECHANISMS),
        metavar="MECHANISM",
        choices=_MECHANISMS,
    )
    add("--metrics", nargs="+", type=Metric, default=list(Metric), metavar="METRIC")
    add("--trials", type=_options.count, default=None, help=f"months per case (default: {_TRIALS})")
    logs = parser.add_mutually_exclusive_group()
    logs.add_argument("--activity", nargs="+", choices=_LOGS, help="which logs (default: all)")
    logs.add_argument("--events", nargs="+", metavar="FILE", help="logs of your own instead")
    add("--users", type=_options.count, help="people in the simulation (default: N_USERS)")
    add("--seed", type=_options.seed, help="of the simulation (default: DEFAULT_SEED)")
    add(
        "--sweeps",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="also the tables by day, population, bound on flips and period",
    )
    add("--quick", action="store_true", help="a small setting, for a first impression")
    add("--experiment", metavar="NAME", help="where results go (default: EXPERIMENT_ID)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
