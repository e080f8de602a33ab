"""The list of mutants that may survive, each under the reason why."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from _mutations import Mutant
from _trial import Verdict

__all__ = ["Complaints", "complaints", "listed", "listing"]

# A module and a mutant's name.
_Key = tuple[str, str]
_MODULE = re.compile(r"^#{2,6} `(?P<path>src/\S+\.py)`$")
_MUTANT = re.compile(r"^- (?P<name>.*→.*)$")


@dataclass(frozen=True)
class Complaints:
    """Where the list and what was found differ.

    Attributes:
        unlisted: survivors that the list has no reason for.
        killed: mutants on the list that a test tells from the product.
        gone: what the list names that is no mutant any more.
    """

    unlisted: Sequence[_Key]
    killed: Sequence[_Key]
    gone: Sequence[_Key]

    def __bool__(self) -> bool:
        return bool(self.unlisted or self.killed or self.gone)


def listed(page: Path) -> set[_Key]:
    """The mutants on the list."""
    found: set[_Key] = set()
    module = ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if heading := _MODULE.match(line):
            module = heading["path"]
        elif module and (mutant := _MUTANT.match(line)):
            found.add((module, mutant["name"]))
    return found


def listing(mutants: Iterable[Mutant]) -> str:
    """Mutants in the form of the list."""
    lines: list[str] = []
    module = ""
    for mutant in sorted(mutants):
        if mutant.path != module:
            module = mutant.path
            lines += ["", f"### `{module}`", ""]
        lines.append(f"- {mutant.name}")
    return "\n".join(lines).strip() + "\n"


def complaints(
    known: set[_Key], mutants: Sequence[Mutant], verdicts: Sequence[Verdict]
) -> Complaints:
    """Compare the list with what was found.

    Args:
        known: what the list names, in the modules at hand.
        mutants: all that there are in these modules.
        verdicts: of those that were tried.
    """
    existing = {_key(mutant) for mutant in mutants}
    killed = {_key(verdict.mutant) for verdict in verdicts if verdict.is_killed}
    survived = {_key(verdict.mutant) for verdict in verdicts if not verdict.is_killed}
    return Complaints(
        unlisted=sorted(survived - known),
        killed=sorted(killed & known),
        gone=sorted(known - existing),
    )


def _key(mutant: Mutant) -> _Key:
    return mutant.path, mutant.name
