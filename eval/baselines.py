"""Our series against what one would otherwise use, each at its best for the same budget of a month.

python eval/baselines.py --activity simulated cdnow --epsilon 3

`make eval-rivals` installs the other libraries; without it they are left out.
"""

import argparse
import math
import sys
from _statistics import interval, named
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap
from rich.console import Console

import _libraries
import _options
import _tools  # noqa: F401 - finds the next one
import rivals
from _accuracy import run_case
from _activity import Activity
from _cases import SIMULATED, Case, Source, Way, ways_to_publish
from _experiment import open_experiment, run_trials, show
from _pipeline import product
from dpdau.config import load_settings
from dpdau.errors import DpdauError
from dpdau.model.calendar import Period
from dpdau.model.releases import Mechanism, Metric, SketchKind
from dpdau.privacy.flippancy import LimiterState
from dpdau.privacy.gaussian_curve import gaussian_mu
from dpdau.simulation import Truth
from replay import Clock

__all__ = ["main"]

Array = NDArray[np.float64]
Presence = NDArray[np.bool_]

_LOGS = (SIMULATED, "cdnow", "flights")
_TRIALS, _QUICK_TRIALS, _QUICK_USERS = 12, 2, 400
# The libraries take seconds a release.
_MOST_LIBRARY_TRIALS = 4
_OURS = "this product"
_NO_WINDOWS = (
    "it has no trailing windows; with every visit repeated on the days whose window holds it, "
    "it is independent noise"
)
_UNBOUNDED = "it needs a bound on flips, and presence is unbounded"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is published, and for how much."""

    source: Source
    metric: Metric
    window_days: int
    epsilon: float
    delta: float
    trials: int
    environments: Path


@dataclass(frozen=True, slots=True)
class Tried:
    """One baseline: its errors, a row a day and a column a trial, or the reason for none."""

    name: str
    how: str
    errors: Array | None
    std_error: float | None = None
    days_bound: int | None = None
    reason: str | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; returns the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        experiment = open_experiment(options.experiment)
        rows = [row for setting in _settings(options) for row in compare(setting)]
    except DpdauError as error:
        console.print(f"Error: {error.message}", markup=False)
        return error.exit_code
    made_with = {name: value for name, value in vars(options).items() if name != "rivals"}
    experiment.write("baselines", rows, **made_with)
    _show(rows)
    console.print(f"Results are in {experiment.results}.", markup=False)
    return 0


def compare(setting: Setting) -> list[dict[str, Any]]:
    """Rows of the table `baselines` for one metric of one log at one price."""
    month = setting.source.month()
    present = presence(setting.source.activity(), month, setting.window_days)
    tried = [_ours(setting, month), *_unbounded(setting, present)]
    if setting.metric is Metric.DAU:
        tried += [*_bounded(setting, present), *_libraries_run(setting, present)]
    else:
        tried += _not_run((each.name for each in _libraries.LIBRARIES), _NO_WINDOWS)
    tried += _with_bounded_flips(setting, present)
    own = _rmse(tried[0])[0]
    return [_row(setting, month, each, own) for each in tried]


def presence(activity: Activity, month: Period, window_days: int) -> Presence:
    """Who is present as each day closes: a row a day, a column a user."""
    truth, rows, arrived = Truth(), [], 0
    _, numbers = np.unique(activity.users, return_inverse=True)
    clock = Clock(datetime.combine(month.first, datetime.min.time(), UTC))
    with product(clock, {}) as application:
        for offset in range(month.days):
            day = month.first + timedelta(days=offset)
            clock.now = application.calendar.closes_at(day)
            until = activity.arriving_on(application.calendar.today()).start
            news = slice(arrived, until)
            columns = activity.days[news], activity.adds[news], activity.whole_user[news]
            truth.apply(numbers[news].astype(np.int64), *columns)
            arrived = until
            row = np.zeros(int(numbers.max()) + 1, dtype=np.bool_)
            row[list(truth.active(day, window_days))] = True
            rows.append(row)
    return np.array(rows)


def _ours(setting: Setting, month: Period) -> Tried:
    ways = ways_to_publish(
        [SketchKind.SET], [Mechanism.CONTINUAL], [setting.epsilon], month, setting.source.users
    )
    cases = [Case(setting.source, way, (setting.metric,)) for way in ways if isinstance(way, Way)]
    months = run_trials(run_case, cases * setting.trials, label=f"ours, {setting.metric}")
    errors = np.array([trial[setting.metric].total for trial in months]).T
    return Tried(_OURS, "run", errors)


def _unbounded(setting: Setting, present: Presence) -> Iterator[Tried]:
    """Fresh noise every day, for users who may be present on all of them."""
    days = len(present)
    yield _linear(setting, "Gaussian, exact curve", rivals.independent(days), present)
    mu = rivals.zcdp_mu(setting.epsilon, setting.delta)
    yield _linear(setting, "Gaussian, zCDP", rivals.independent(days), present, mu=mu)
    yield _laplace(setting, "Laplace, naive", present, present, None)


def _bounded(setting: Setting, present: Presence) -> Iterator[Tried]:
    """The same where only a user's first days count, as many as errs least here."""
    mu, days = gaussian_mu(setting.epsilon, setting.delta), len(present)
    nth = present.cumsum(axis=0)

    def best(std_error: Callable[[int], float]) -> int:
        def expected(bound: int) -> float:
            lost = (present & (nth > bound)).sum(axis=1)
            return float(std_error(bound) ** 2 + (lost**2).mean())

        return min(range(1, days + 1), key=expected)

    bound = best(lambda bound: math.sqrt(bound) / mu)
    rival = rivals.independent(days, bound)
    name = "Gaussian, exact curve, first days only"
    yield _linear(setting, name, rival, present, present & (nth <= bound), days_bound=bound)
    bound = best(lambda bound: rivals.laplace_std_error(bound, setting.epsilon))
    counted = present & (nth <= bound)
    yield _laplace(setting, "Laplace, naive, first days only", present, counted, bound)


def _with_bounded_flips(setting: Setting, present: Presence) -> Iterator[Tried]:
    """Factorisations, on what our own limiter counts."""
    makers = {
        "square-root factorisation": rivals.square_root,
        "binary tree, pruned": rivals.pruned_binary_tree,
        "binary tree": rivals.binary_tree,
    }
    runs = load_settings().presence_runs(setting.metric)
    if runs is None:
        yield from _not_run(makers, _UNBOUNDED)
        return
    state, counted = LimiterState.empty(runs), np.zeros_like(present)
    for day, row in enumerate(present):
        advance = state.advance(BitMap(np.flatnonzero(row)))
        state = advance.state
        counted[day, list(advance.counted)] = True
    for name, make in makers.items():
        yield _linear(setting, name, make(len(present), runs), present, counted)


def _libraries_run(setting: Setting, present: Presence) -> Iterator[Tried]:
    for library in _libraries.LIBRARIES:
        price = setting.epsilon, setting.delta
        choice = _libraries.choose(library, present, *price)
        estimates = _libraries.run(
            library,
            choice,
            present,
            *price,
            environments=setting.environments,
            trials=min(setting.trials, _MOST_LIBRARY_TRIALS),
        )
        if isinstance(estimates, str):
            yield from _not_run([library.name], estimates)
            continue
        errors = estimates - present.sum(axis=1)[:, None]
        name = f"{library.name}, {choice.noise}"
        yield Tried(name, "run", errors, choice.std_error, choice.bound)


def _linear(
    setting: Setting,
    name: str,
    rival: rivals.LinearRival,
    present: Presence,
    counted: Presence | None = None,
    *,
    mu: float | None = None,
    days_bound: int | None = None,
) -> Tried:
    """A rival with Gaussian noise, run on what it counts."""
    allowed = gaussian_mu(setting.epsilon, setting.delta) if mu is None else mu
    totals = _repeated(present if counted is None else counted, setting.trials)
    errors = rival.release(totals, allowed) - _repeated(present, setting.trials)
    return Tried(name, "computed and run", errors, rival.std_error(allowed), days_bound)


def _laplace(
    setting: Setting, name: str, present: Presence, counted: Presence, bound: int | None
) -> Tried:
    days = len(present) if bound is None else bound
    totals = _repeated(counted, setting.trials)
    noisy = rivals.laplace_release(totals.ravel(), days, setting.epsilon).reshape(totals.shape)
    std_error = rivals.laplace_std_error(days, setting.epsilon)
    errors = noisy - _repeated(present, setting.trials)
    return Tried(name, "computed and run", errors, std_error, bound)


def _repeated(present: Presence, trials: int) -> NDArray[np.int64]:
    return np.repeat(present.sum(axis=1)[:, None], trials, axis=1)


def _not_run(names: Iterable[str], reason: str) -> list[Tried]:
    return [Tried(name, "not run", None, reason=reason) for name in names]


def _rmse(tried: Tried) -> tuple[float, ...]:
    """With its 95 % interval over the trials."""
    if tried.errors is None:
        return ()
    return tuple(math.sqrt(max(0.0, each)) for each in interval((tried.errors**2).mean(axis=0)))


def _row(setting: Setting, month: Period, tried: Tried, own: float) -> dict[str, Any]:
    rmse = _rmse(tried)
    return {
        "activity": setting.source.activity().name,
        "metric": setting.metric.value,
        "window_days": setting.window_days,
        "days": month.days,
        "epsilon": setting.epsilon,
        "delta": setting.delta,
        "baseline": tried.name,
        "how": tried.how,
        "days_bound": tried.days_bound,
        "trials": 0 if tried.errors is None else tried.errors.shape[1],
        **(named("rmse", rmse) if rmse else dict.fromkeys(("rmse", "rmse_low", "rmse_high"))),
        "std_error_computed": tried.std_error,
        "bias": None if tried.errors is None else float(tried.errors.mean()),
        "ratio": rmse[0] / own if rmse else None,
        "reason": tried.reason,
    }


def _settings(options: argparse.Namespace) -> Iterator[Setting]:
    settings = load_settings()
    trials = options.trials or (_QUICK_TRIALS if options.quick else _TRIALS)
    for name in options.activity or (_LOGS[:1] if options.quick else _LOGS):
        source = Source(
            name=name,
            users=options.users or (_QUICK_USERS if options.quick else settings.n_users),
            p_active=settings.p_active,
            delete_rate=settings.delete_rate,
            seed=settings.default_seed if options.seed is None else options.seed,
        )
        for epsilon in options.epsilon:
            for metric in Metric:
                window = 1 if metric is Metric.DAU else settings.mau_window_days
                yield Setting(
                    source, metric, window, epsilon, settings.delta, trials, options.rivals
                )


def _show(rows: Sequence[dict[str, Any]]) -> None:
    keys = ("activity", "metric", "epsilon")
    for panel in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
        found = [row for row in rows if tuple(row[key] for key in keys) == panel]
        found.sort(key=lambda row: math.inf if row["rmse"] is None else row["rmse"])
        show(
            f"{panel[0]}, {panel[1]}: errors in users, ε = {panel[2]:g} for the month",
            ["baseline", "days bound", "rmse", "95 %", "computed noise", "bias", "ours = 1"],
            [_cells(row) for row in found],
            "\n".join(f"{row['baseline']}: {row['reason']}" for row in found if row["reason"]),
        )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    bound = "" if row["days_bound"] is None else str(row["days_bound"])
    if row["rmse"] is None:
        return (row["baseline"], bound, row["how"], "", "", "", "")
    computed = row["std_error_computed"]
    return (
        row["baseline"],
        bound,
        f"{row['rmse']:,.2f}",
        f"{row['rmse_low']:,.2f} to {row['rmse_high']:,.2f}",
        "" if computed is None else f"{computed:,.2f}",
        f"{row['bias']:+,.2f}",
        f"{row['ratio']:.2f}",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Compare our series with what one would otherwise use, at an equal price."
    )
    add = parser.add_argument
    add("--activity", nargs="+", metavar="LOG", help=f"{', '.join(_LOGS)}, or files of events")
    add(
        "--epsilon",
        nargs="+",
        type=_options.privacy_loss,
        default=[3.0],
        help="of a month, per user and metric",
    )
    add("--trials", type=_options.count, help=f"months per baseline (default: {_TRIALS})")
    add("--users", type=_options.count, help="people in the simulation (default: N_USERS)")
    add("--seed", type=_options.seed, help="of the simulation (default: DEFAULT_SEED)")
    add("--quick", action="store_true", help="a small setting, for a first impression")
    add("--experiment", metavar="NAME", help="where results go (default: EXPERIMENT_ID)")
    environments = Path(sys.prefix) / "rivals"
    add("--rivals", type=Path, default=environments, help="folder of the other libraries")
    return parser


if __name__ == "__main__":
    sys.exit(main())
