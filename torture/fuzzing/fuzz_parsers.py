"""Let coverage-guided fuzzers search for bytes on which a reader or decoder fails.

Run: python torture/fuzzing/fuzz_parsers.py [TARGET ...] [--seconds N] [--folder DIRECTORY]

Each target (all by default) runs in a process of its own, under atheris: libFuzzer, told by
instrumented bytecode what an input reached. What it learned is kept in the folder and used by the
next run. Exits with 1 if there is a finding; the bytes are kept in a file whose name is printed,
and the same command with that file behind --input shows the finding again.
"""

import argparse
import importlib
import importlib.util
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from _targets import Target

__all__ = ["Outcome", "fuzz", "main"]

_FOLDER = Path(__file__).parents[2] / "build" / "fuzz"
_DONE = re.compile(r"#(\d+)\s+DONE\s+cov: (\d+).*?corp: (\d+)/.*?exec/s: (\d+) rss: (\d+)Mb")
_KEPT = re.compile(r"Test unit written to (\S+)")
_SHOWN_LINES = 25
# A target that hangs is stopped by libFuzzer after as long as this; the rest is for its start.
_TIMEOUT_SECONDS = 60
_START_SECONDS = 120
_MOST_MEMORY_MIB = 2_048
_MOST_BYTES = 8_192


@dataclass(frozen=True)
class Outcome:
    """What a fuzzer did.

    Attributes:
        target: what it threw bytes at.
        figures: how many inputs it tried, places it reached, inputs it keeps, inputs a second,
            and MiB of memory at the end; empty after a finding.
        finding: where the bytes are that broke something; None if nothing broke.
        log: the end of what it said.
    """

    target: str
    figures: Sequence[int]
    finding: Path | None
    log: str

    @property
    def is_good(self) -> bool:
        """Whether it ran to its end without a finding."""
        return bool(self.figures) and self.finding is None


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Fuzz readers and decoders with atheris.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("--folder", type=Path, default=_FOLDER, help="where corpora are kept")
    parser.add_argument("--input", type=Path, help="only try the bytes of this file")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.worker:
        _work(_chosen(asked.targets)[0], asked.folder, asked.seconds)
    if asked.input is not None:
        for target in _chosen(asked.targets):
            target.check(asked.input.read_bytes())
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed; it has wheels for Linux on x86-64 and some Pythons only.")
        return 2
    outcomes = []
    for target in _chosen(asked.targets):
        outcome = fuzz(target.name, asked.seconds, asked.folder)
        outcomes.append(outcome)
        # What a long run has done so far is said at once, and all of it again at the end.
        inputs = f"{outcome.figures[0]:,} inputs" if outcome.is_good else "a finding"
        print(f"{target.name}: {inputs}", flush=True)
    _show(outcomes)
    return 0 if all(outcome.is_good for outcome in outcomes) else 1


def fuzz(target: str, seconds: int, folder: Path) -> Outcome:
    """Fuzz one target in a process of its own.

    Args:
        target: its name.
        seconds: for how long.
        folder: where its corpus and its findings are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, __file__, target, "--worker")
    options = ("--seconds", str(seconds), "--folder", str(folder))
    try:
        run = subprocess.run(
            [*command, *options],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds + _TIMEOUT_SECONDS + _START_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Outcome(target, [], None, "it did not end")
    kept = _KEPT.search(run.stdout)
    done = _DONE.findall(run.stdout)
    return Outcome(
        target=target,
        figures=[int(figure) for figure in done[-1]] if done and run.returncode == 0 else [],
        finding=Path(kept[1]) if kept else None,
        log=_end_of(run.stdout),
    )


def _end_of(log: str) -> str:
    """What was raised, or else the last lines."""
    _, raised, behind = log.partition("=== Uncaught Python exception")
    lines = (raised + behind if raised else log).splitlines()
    return "\n".join(lines[:_SHOWN_LINES] if raised else lines[-_SHOWN_LINES:])


def _chosen(names: Sequence[str]) -> "Sequence[Target]":
    from _all_targets import PLANTED, TARGETS  # noqa: PLC0415 - the worker instruments it first

    known = {target.name: target for target in TARGETS}
    unknown = [name for name in names if name not in {PLANTED.name, *known}]
    if unknown:
        sys.exit(f"Unknown: {', '.join(unknown)}. Known targets: {', '.join(known)}.")
    return [known.get(name, PLANTED) for name in names or known]


def _show(outcomes: Sequence[Outcome]) -> None:
    table = Table(title="Bytes thrown at readers and decoders")
    for column in ("target", "inputs", "places", "kept", "a second", "MiB", "finding"):
        table.add_column(column, justify="left" if column in {"target", "finding"} else "right")
    for outcome in outcomes:
        figures = [f"{figure:,}" for figure in outcome.figures] or ["-"] * 5
        finding = "none" if outcome.is_good else str(outcome.finding or "it ended by itself")
        table.add_row(outcome.target, *figures, finding)
    Console(width=120).print(table)
    for outcome in outcomes:
        if not outcome.is_good:
            print(f"\n{outcome.target}:\n{outcome.log}")


# --- in the process of one target ----------------------------------------------------------


def _work(target: "Target", folder: Path, seconds: int) -> None:
    """Fuzz until the time is over or something breaks; ends the process."""
    atheris = _atheris()
    corpus, seeds = folder / target.name, folder / f"{target.name}-seeds"
    for place in (corpus, seeds):
        place.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (seeds / str(number)).write_bytes(seed)
    options = (
        f"-max_total_time={seconds}",
        f"-timeout={_TIMEOUT_SECONDS}",
        f"-rss_limit_mb={_MOST_MEMORY_MIB}",
        f"-max_len={_MOST_BYTES}",
        f"-artifact_prefix={folder}/{target.name}-",
    )
    atheris.Setup([sys.argv[0], *options, str(corpus), str(seeds)], target.check)
    atheris.Fuzz()


def _atheris() -> ModuleType:
    return importlib.import_module("atheris")


if __name__ == "__main__":
    if "--worker" in sys.argv:
        # What is imported from here on tells the fuzzer which of its branches an input took.
        with _atheris().instrument_imports(
            include=["dpdau", "_all_targets", "_event_targets", "_record_targets", "csv", "json"],
            enable_loader_override=False,
        ):
            import _all_targets  # noqa: F401 - instrumented by that
    sys.exit(main(sys.argv[1:]))
