"""Drive the whole product over HTTP and by its commands, in any order, beside a model of sets.

Run: make torture, or PYTHONPATH=bench python torture/machine.py --help
"""

import argparse
import sys
import time
from collections.abc import Sequence

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from _faulty import FAULTS
from _machine import PRESENCES, ProductMachine
from _product import Tally
from _warm import Nursery

__all__ = ["VARIANTS", "main", "run"]

VARIANTS = {"exact": False, "continual": True}
"""By name, whether its metrics are continual series."""


def run(
    variant: str,
    nursery: Nursery,
    *,
    examples: int,
    steps: int,
    fault: str | None = None,
    most_runs: int = 2,
    derandomize: bool = False,
    shrink: bool = True,
) -> Tally:
    """Look for a sequence of steps in which product and model differ.

    Args:
        variant: of `VARIANTS`.
        nursery: what starts processes.
        examples: how many sequences.
        steps: the longest of them.
        fault: one of `_faulty` that the product gets; None for the product as it is.
        most_runs: of presence in a limited series; 2 needs strategies that take seconds.
        derandomize: whether to try the same sequences every time.
        shrink: whether to look for the shortest such sequence.

    Raises:
        AssertionError: if there is one; Hypothesis prints the shortest it finds.
    """
    tally = Tally()
    machine = type(
        "Machine",
        (ProductMachine,),
        {
            "nursery": nursery,
            "tally": tally,
            "continual": VARIANTS[variant],
            "most_runs": most_runs,
            "mutation": fault,
        },
    )
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            derandomize=derandomize,
            phases=phases,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every variant; 1 if product and model differ somewhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=60, help="sequences a variant")
    parser.add_argument("--steps", type=int, default=60, help="the longest sequence")
    parser.add_argument("--variant", choices=VARIANTS, action="append", help="default: all")
    parser.add_argument("--fault", choices=FAULTS, help="give the product this fault")
    chosen = parser.parse_args(arguments)
    for variant in chosen.variant or VARIANTS:
        started = time.monotonic()
        with Nursery(PRESENCES if VARIANTS[variant] else ()) as nursery:
            try:
                tally = run(
                    variant,
                    nursery,
                    examples=chosen.examples,
                    steps=chosen.steps,
                    fault=chosen.fault,
                )
            except AssertionError as difference:
                print(f"{variant}: product and model differ: {difference}")
                for note in getattr(difference, "__notes__", []):
                    print(note)
                return 1
        _report(variant, tally, time.monotonic() - started)
    return 0


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


if __name__ == "__main__":
    sys.exit(main())
