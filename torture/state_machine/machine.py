"""Drive the whole product over HTTP and by its commands, in any order, beside a model of sets.

Run: make torture, or PYTHONPATH=bench:torture python torture/state_machine/machine.py --help
"""

import argparse
import sys
import time
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from _faulty import FAULTS
from _machine import PRESENCES, ProductMachine
from _newborn import Cradle
from _product import Tally
from _warm import nursery

__all__ = ["VARIANTS", "main", "run", "steps_to_find"]

VARIANTS = {"exact": False, "continual": True}
"""By name, whether its metrics are continual series."""


def run(
    variant: str,
    cradle: Cradle,
    tally: Tally,
    *,
    examples: int,
    steps: int,
    fault: str | None = None,
    most_runs: int = 2,
    derandomize: bool = False,
    shrink: bool = True,
) -> None:
    """Look for a sequence of steps after which product and model differ.

    Args:
        variant: of `VARIANTS`.
        cradle: what starts processes.
        tally: is told what was done.
        examples: how many sequences.
        steps: the longest of them.
        fault: one of `FAULTS` that the product gets; None for the product as it is.
        most_runs: of presence in a limited series; 2 needs strategies that take seconds.
        derandomize: whether to try the same sequences every time.
        shrink: whether to look for the shortest such sequence, for five minutes at most.

    Raises:
        AssertionError: if there is one, with its steps as notes.
    """
    chosen = {
        "cradle": cradle,
        "tally": tally,
        "continual": VARIANTS[variant],
        "most_runs": most_runs,
        "mutation": fault,
    }
    machine = type("Machine", (ProductMachine,), chosen)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=derandomize,
            phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def steps_to_find(
    fault: str, cradle: Cradle, *, examples: int, steps: int, derandomize: bool = False
) -> int | None:
    """After how many steps a fault is found; None if it is not.

    Takes what `run` takes; limits of presence are such that strategies are quickly made.
    """
    tally = Tally()
    try:
        run(
            FAULTS[fault].variant,
            cradle,
            tally,
            examples=examples,
            steps=steps,
            fault=fault,
            most_runs=1,
            derandomize=derandomize,
            shrink=False,
        )
    except AssertionError:
        return tally.rules.total()
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every variant, or find every fault; 1 if product and model differ where they must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=60, help="sequences a variant")
    parser.add_argument("--steps", type=int, default=50, help="the longest sequence")
    parser.add_argument("--variant", choices=VARIANTS, action="append", help="default: all")
    parser.add_argument(
        "--faults", action="store_true", help="give the product known faults, and find each"
    )
    chosen = parser.parse_args(arguments)
    with nursery(PRESENCES) as cradle:
        if chosen.faults:
            return _find_faults(cradle, chosen.examples, chosen.steps)
        for variant in chosen.variant or VARIANTS:
            tally, started = Tally(), time.monotonic()
            try:
                run(variant, cradle, tally, examples=chosen.examples, steps=chosen.steps)
            except AssertionError as difference:
                print(f"{variant}: product and model differ: {difference}")
                for note in getattr(difference, "__notes__", []):
                    print(note)
                return 1
            _report(variant, tally, time.monotonic() - started)
    return 0


def _find_faults(cradle: Cradle, examples: int, steps: int) -> int:
    missed = 0
    for fault in FAULTS:
        needed = steps_to_find(fault, cradle, examples=examples, steps=steps)
        missed += needed is None
        found = "is not found" if needed is None else f"is found after {needed:,} steps"
        print(f"{fault}: {found}", flush=True)
    return int(missed > 0)


def _report(variant: str, tally: Tally, seconds: float) -> None:
    print(
        f"{variant}: {tally.rules.total():,} steps in {tally.examples:,} sequences, "
        f"{len(tally.statuses)} kinds of answers, {seconds:,.0f} s. Product and model agree."
    )
    for title, counts in (("steps", tally.rules), ("answers", tally.statuses)):
        print(f"  {title}:")
        for name, count in sorted(counts.items(), key=str):
            shown = name if isinstance(name, str) else " → ".join(name)
            print(f"    {shown:<48}{count:>8,}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
