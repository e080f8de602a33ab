"""Whether the tests notice that the product was changed: mutation testing.

Run: make mutants, or `python torture/mutation/mutants.py --help`.

Exits with 1 if a mutant survives for which docs/mutation-survivors.md has no reason, if one that is
listed there was killed or is gone, or if fewer than nine of ten are killed in an area.
"""

import argparse
import hashlib
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from scipy.stats import binomtest

from _mutations import Mutant, mutants_of
from _survivors import complaints, listed, listing
from _trial import Trial, Verdict, tried

__all__ = ["main"]

_ROOT = Path(__file__).resolve().parents[2]
_SURVIVORS = "docs/mutation-survivors.md"
_LEAST_RATE = 0.9


@dataclass(frozen=True)
class _Project:
    """What the table `tool.mutants` of a project's pyproject.toml says.

    Attributes:
        root: the project's folder.
        options: for every run of pytest.
        libraries: what is imported before the product.
        areas: by name, patterns of modules, the tests that are tried on them, and the contexts
            that these need, if any.
    """

    root: Path
    options: Sequence[str]
    libraries: Sequence[str]
    areas: Mapping[str, Mapping[str, Sequence[str]]]

    @classmethod
    def of(cls, root: Path) -> Self:
        config = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        return cls(root, **config["tool"]["mutants"])

    def modules(self, area: str) -> list[Path]:
        patterns = self.areas[area]["modules"]
        return sorted({path for pattern in patterns for path in self.root.glob(pattern)})

    def trial(self, area: str, workers: int) -> Trial:
        build = self.root / "build" / "mutants"
        build.mkdir(parents=True, exist_ok=True)
        return Trial(
            root=self.root,
            libraries=self.libraries,
            options=self.options,
            source=self.root / "src",
            scope=self.modules(area),
            tests=self.areas[area]["tests"],
            around=self.areas[area].get("around", ()),
            workers=workers,
            cache=build / f"{area}.json",
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the mutants that are asked for and report; returns the exit status."""
    options = _options(arguments)
    project = _Project.of(options.root.resolve())
    rows, is_well = [], True
    for area in options.area or project.areas:
        paths = [path for path in project.modules(area) if options.module in str(path)]
        mutants = [mutant for path in paths for mutant in mutants_of(path, project.root)]
        chosen = _sample(mutants, options.sample, options.skip)
        started = time.monotonic()
        verdicts = tried(project.trial(area, options.workers), chosen)
        row, rate = _row(area, len(mutants), verdicts, time.monotonic() - started)
        rows.append(row)
        is_right = _compares(project.root, paths, mutants, verdicts)
        is_well = is_well and is_right and rate >= _LEAST_RATE
    print("| area | mutants | tried | killed | of these too slow | rate | 95 % interval | time |")
    print("|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    return 0 if is_well else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--area", action="append", help="privacy, pipeline or ledger; all")
    parser.add_argument("--module", default="", help="only modules whose path has this in it")
    parser.add_argument("--sample", type=int, default=0, help="so many of each area; 0 for all")
    parser.add_argument("--skip", type=int, default=0, help="so many before these are left out")
    parser.add_argument("--workers", type=int, default=1, help="how many at a time")
    parser.add_argument("--root", type=Path, default=_ROOT, help="another project's folder")
    return parser.parse_args(arguments)


def _sample(mutants: Sequence[Mutant], size: int, skip: int) -> list[Mutant]:
    """So many mutants in the order of their digests: the same ones again, and any part at random.

    Args:
        mutants: all of them.
        size: how many; 0 for all that are left.
        skip: how many come before.
    """

    def lot(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{mutant.path} {mutant.name}".encode()).digest()

    return sorted(mutants, key=lot)[skip : skip + size if size else None]


def _row(area: str, total: int, verdicts: Sequence[Verdict], seconds: float) -> tuple[str, float]:
    tried_count = len(verdicts)
    killed = sum(verdict.is_killed for verdict in verdicts)
    slow = sum(verdict.outcome == "timeout" for verdict in verdicts)
    rate = killed / tried_count if tried_count else 1.0
    interval = binomtest(killed, max(tried_count, 1)).proportion_ci(method="wilson")
    row = (
        f"| {area} | {total:,} | {tried_count:,} | {killed:,} | {slow:,} | {rate:.1%}"
        f" | {interval.low:.1%} to {interval.high:.1%} | {seconds:,.0f} s |"
    )
    return row, rate


def _compares(
    root: Path, paths: Sequence[Path], mutants: Sequence[Mutant], verdicts: Sequence[Verdict]
) -> bool:
    """Whether the list of survivors is right about these modules; says what is not."""
    modules = {path.relative_to(root).as_posix() for path in paths}
    known = {key for key in listed(root / _SURVIVORS) if key[0] in modules}
    found = complaints(known, mutants, verdicts)
    if found.unlisted:
        unlisted = set(found.unlisted)
        print("These survive and are not listed. Write a test, or list them with a reason:\n")
        print(listing(v.mutant for v in verdicts if (v.mutant.path, v.mutant.name) in unlisted))
    for heading, keys in (
        ("These are listed and were killed. Take them off the list:", found.killed),
        ("These are listed and are no mutants any more. Take them off the list:", found.gone),
    ):
        if keys:
            print(heading, *(f"{path} {name}" for path, name in keys), sep="\n  ")
    return not found


if __name__ == "__main__":
    sys.exit(main())
