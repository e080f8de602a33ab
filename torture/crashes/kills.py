"""Kills the service and its commands a thousand times, and looks each time what is left.

Run: python torture/crashes/kills.py [--kills N] [--minutes M] [--seed S] [--keep]
"""

import argparse
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from _deaths import Failure, Report
from _interpose import library
from _newborn import Cradle
from _run import Run
from _stage import WrongError

__all__ = ["main", "torture"]

_SAY_EVERY = 100


def torture(
    kills: int,
    *,
    seed: int,
    folder: Path,
    minutes: float = float("inf"),
    keep: bool = False,
    only: str | None = None,
    launcher: Sequence[str] | None = None,
    power: float = 0.35,
    syncs_lie: bool = False,
    operations: Sequence[str] | None = None,
    within_calls: bool = True,
    failures: int = 10,
    quiet: bool = False,
) -> Report:
    """Kill until there were enough deaths.

    Args:
        kills: how many deaths.
        seed: what dies, when and how; what several threads do at once is not repeated by it.
        folder: for everything.
        minutes: after how long no further run begins.
        keep: whether the data of runs that found something wrong is kept.
        only: the seed of the only run.
        launcher: in place of `_cradle.py`.
        power: how likely a death is one of the power.
        syncs_lie: whether no fsync does anything.
        operations: what clients die in; by default anything.
        within_calls: whether processes die at calls too, and not between them only.
        failures: after how many to give up.
        quiet: say nothing on the way.
    """
    report = Report(seed)
    reach: dict[str, int] = {}
    deadline = time.monotonic() + minutes * 60
    said = 0
    with Cradle([library()], *([] if launcher is None else [launcher])) as cradle:
        while (
            len(report.deaths) < kills
            and time.monotonic() < deadline
            and len(report.failures) < failures
        ):
            report.runs += 1
            name = only or f"{seed}-{report.runs}"
            place = folder / name
            run = Run(cradle, place, name, reach, power=power, syncs_lie=syncs_lie)
            run.operations = operations or run.operations
            run.within_calls = within_calls
            is_whole = True
            try:
                run.lives()
            except KeyboardInterrupt:
                # What was found so far is shown all the same.
                deadline = 0.0
            except WrongError as error:
                is_whole = False
                kept = str(place) if keep else ""
                report.failures.append(Failure(name, run.life, run.deaths, error.args, kept))
                if not quiet:
                    report.failures[-1].print()
            finally:
                run.close()
            report.deaths += run.deaths
            report.requests += run.requests
            if is_whole or not keep:
                shutil.rmtree(place)
            if not quiet and len(report.deaths) // _SAY_EVERY > said:
                said = len(report.deaths) // _SAY_EVERY
                print(f"{len(report.deaths):,} deaths, {len(report.failures)} failures", flush=True)
            if only:
                break
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; gives 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1_000, help="how many deaths")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="for how long at most")
    parser.add_argument("--seed", type=int, default=None, help="by default a new one")
    parser.add_argument(
        "--run", default=None, help="the seed of a single run, as a failure names it"
    )
    parser.add_argument("--keep", action="store_true", help="keep the data of runs that fail")
    given = parser.parse_args(arguments)
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    print(f"Seed {seed}.", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="dpdau-kills-"))
    is_kept = False
    try:
        report = torture(
            given.kills,
            seed=seed,
            folder=folder,
            minutes=given.minutes,
            keep=given.keep,
            only=given.run,
        )
        is_kept = given.keep and bool(report.failures)
    finally:
        if not is_kept:
            shutil.rmtree(folder)
    report.print()
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
