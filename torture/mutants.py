"""Whether the tests notice when the product is changed: mutation testing.

Run: make mutants, or `python torture/mutants.py --help`. Exits with 1 if a mutant survives that
`docs/mutation-survivors.md` does not name, or one that it names does not, or too few are killed.
"""

import argparse
import hashlib
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import binomtest

from _mutations import Mutant, mutants_of
from _trial import Trial, Verdict, tried

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parent.parent
_SURVIVORS = _ROOT / "docs" / "mutation-survivors.md"
_LEAST_RATE = 0.9


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the mutants that are asked for and report; returns the exit status."""
    options = _options(arguments)
    config = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    areas = {name: _Area(name, **table) for name, table in config["tool"]["mutants"].items()}
    for name in options.area or areas:
        area = areas[name]
        mutants = [
            m for path in area.paths() if options.module in str(path) for m in mutants_of(path, _ROOT)
        ]
        chosen = _sample(mutants, options.sample)
        verdicts: list[Verdict] = []
        started = time.monotonic()
        tried(area.trial(options.workers), chosen, verdicts.append)
        for verdict in sorted(verdicts, key=lambda verdict: verdict.mutant):
            if not verdict.is_killed:
                m = verdict.mutant
                print(f"{verdict.outcome} {m.path}:{m.first_line} {m.name}")
        killed = sum(v.is_killed for v in verdicts)
        late = sum(v.outcome == "timeout" for v in verdicts)
        interval = binomtest(killed, len(verdicts)).proportion_ci(method="wilson")
        print(
            f"{name}: {len(mutants)} mutants, {len(verdicts)} tried, {killed} killed ({late} late), "
            f"{killed / len(verdicts):.1%} [{interval.low:.1%}, {interval.high:.1%}]"
            f" in {time.monotonic() - started:.0f} s"
        , flush=True)
    return 0


@dataclass(frozen=True)
class _Area:
    name: str
    modules: list[str]
    tests: list[str]

    def paths(self) -> list[Path]:
        return sorted({path for pattern in self.modules for path in _ROOT.glob(pattern)})

    def trial(self, workers: int) -> Trial:
        build = _ROOT / "build" / "mutants"
        build.mkdir(parents=True, exist_ok=True)
        cache = build / f"{self.name}.json"
        return Trial(_ROOT, _ROOT / "src", self.paths(), self.tests, workers, cache)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--area", action="append", help="privacy, pipeline or ledger")
    parser.add_argument("--module", default="", help="only modules whose path has this in it")
    parser.add_argument("--sample", type=int, default=0, help="how many of each area; 0 for all")
    parser.add_argument("--workers", type=int, default=1, help="how many at a time")
    return parser.parse_args(arguments)


def _sample(mutants: Sequence[Mutant], size: int) -> list[Mutant]:
    """So many mutants that are chosen by their digests: the same ones as long as they exist."""
    if not size or size >= len(mutants):
        return list(mutants)

    def lot(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{mutant.path} {mutant.name}".encode()).digest()

    return sorted(sorted(mutants, key=lot)[:size])


if __name__ == "__main__":
    sys.exit(main())
