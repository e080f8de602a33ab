"""Let attackers play against the product, and against naive services.

python eval/adversarial.py [--only NAME …] [--trials N] [--quick]

`_attacks.py` has what each wants and does; docs/evaluation.md says how to read the results.
"""

import argparse
import sys
from _statistics import at_least, share
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.random import default_rng  # noqa: TID251 - naive services have seeds
from rich.console import Console

import _options
from _attacks import ADVERSARIES, drained
from _experiment import open_experiment, run_trials, show
from _games import Score
from dpdau.config import load_settings
from dpdau.errors import DpdauError

__all__ = ["attack", "main"]

_TRIALS = 400
_QUICK_TRIALS = 12
# At 95 % some attacker at the very bound would seem to be beyond it in one run of five.
_BEYOND_DOUBT = 1 - 1e-6
_DRAINING = "budget draining"


@dataclass(frozen=True, slots=True)
class _Played:
    name: str
    is_present: bool
    seed: int


def _play(game: _Played) -> tuple[Score, Score, float]:
    """(score against the naive service, score here, what is allowed here)."""
    adversary = next(each for each in ADVERSARIES if each.name == game.name)
    naive = adversary.naive_score(game.is_present, default_rng(game.seed))
    return naive, *adversary.score(game.is_present)


def attack(names: Sequence[str], trials: int, seed: int) -> list[dict[str, Any]]:
    """Rows of the table `adversaries`.

    Args:
        names: of the adversaries.
        trials: how many games each plays, with the target in every other one.
        seed: of the naive services; the product has none.
    """
    chosen = [each for each in ADVERSARIES if each.name in names]
    games = [
        _Played(adversary.name, bool(number % 2), seed + number)
        for adversary in chosen
        for number in range(trials)
    ]
    played = iter(run_trials(_play, games, label="Games"))
    rows = []
    for adversary in chosen:
        found = [(bool(number % 2), *next(played)) for number in range(trials)]
        naive = sum((score > 0) is present for present, score, _, _ in found)
        here = sum((score > 0) is present for present, _, score, _ in found)
        bound = max(allowed for *_, allowed in found)
        rows.append(
            {
                "adversary": adversary.name,
                "goal": adversary.goal,
                "naive": adversary.naive,
                **_shares("naive_success", "naive_low", "naive_high", hits=naive, trials=trials),
                "here": adversary.here,
                **_shares("success", "low", "high", hits=here, trials=trials),
                "guessing": 0.5,
                "bound": bound,
                "is_beyond": at_least(here, trials, _BEYOND_DOUBT) > bound,
                "trials": trials,
                "unit": "share",
            }
        )
    return rows + ([_draining()] if _DRAINING in names else [])


def _shares(*names: str, hits: int, trials: int) -> dict[str, float]:
    """How often an attacker was right, with the 95 % interval, by these names."""
    return dict(zip(names, share(hits, trials), strict=True))


def _draining() -> dict[str, Any]:
    ((naive, here),) = run_trials(drained, [0], label=_DRAINING, processes=1)
    return {
        "adversary": _DRAINING,
        "goal": "days of a month without a value, by asking for other windows first",
        "naive": "pays all answers from one budget as they are asked for",
        **dict.fromkeys(("naive_success", "naive_low", "naive_high"), float(naive)),
        "here": "the month's series has its share before anyone asks",
        **dict.fromkeys(("success", "low", "high"), float(here)),
        "guessing": 0.0,
        "bound": 0.0,
        "is_beyond": here > 0,
        "trials": 1,
        "unit": "days refused",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Attack; returns the exit code, not 0 if anyone got further than is allowed beyond doubt."""
    names = [*(each.name for each in ADVERSARIES), _DRAINING]
    parser = argparse.ArgumentParser(description="Attack the product, and naive services.")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--trials", type=_options.count, help=f"games of each (default: {_TRIALS})")
    parser.add_argument(
        "--seed", type=_options.seed, help="of the naive services (default: DEFAULT_SEED)"
    )
    parser.add_argument("--quick", action="store_true", help=f"{_QUICK_TRIALS} games")
    parser.add_argument("--experiment", metavar="NAME", help="default: EXPERIMENT_ID")
    options = parser.parse_args(arguments)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        experiment = open_experiment(options.experiment)
        trials = options.trials or (_QUICK_TRIALS if options.quick else _TRIALS)
        seed = load_settings().default_seed if options.seed is None else options.seed
        rows = attack(options.only, trials, seed)
        experiment.write("adversaries", rows, seed=seed, trials=trials)
    except DpdauError as error:
        console.print(f"Error: {error.message}", markup=False)
        return error.exit_code
    _show(rows)
    console.print(f"Results are in {experiment.results}.", markup=False)
    return int(any(row["is_beyond"] for row in rows))


def _show(rows: Sequence[dict[str, Any]]) -> None:
    def told(row: dict[str, Any], *keys: str) -> str:
        form = "{:.1%}" if row["unit"] == "share" else "{:g}"
        return " to ".join(form.format(row[key]) for key in keys)

    show(
        "How often attackers are right",
        ["adversary", "naive service", "95 %", "here", "95 %", "allowed", "guessing", "unit"],
        [
            (
                row["adversary"],
                told(row, "naive_success"),
                told(row, "naive_low", "naive_high"),
                told(row, "success"),
                told(row, "low", "high"),
                told(row, "bound"),
                told(row, "guessing"),
                row["unit"],
            )
            for row in rows
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
