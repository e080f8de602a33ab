"""What died where, what was found wrong, and how to show it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from _harness import show

__all__ = ["Death", "Failure", "Report"]

_TIME = re.compile(r"\d{8}T\d{6}Z")


@dataclass(frozen=True, slots=True)
class Death:
    """The end of one process.

    Attributes:
        operation: what it was doing, or was asked to do.
        manner: how it ended.
        place: the call at which it ended, with the file's name; or another word for the moment.
        power: what was kept of what was not synced; empty if the power stayed on.
    """

    operation: str
    manner: str
    place: str
    power: str = ""

    @property
    def general_place(self) -> str:
        """The place without what differs between runs."""
        return _TIME.sub("TIME", self.place)


@dataclass(frozen=True, slots=True)
class Failure:
    """What was found wrong.

    Attributes:
        seed: of the run.
        life: the life of the service after which it was found, from 1.
        deaths: how the processes of the run had ended, in order.
        found: a sentence for each thing that is wrong.
        folder: where the data is kept; empty if it is not.
    """

    seed: str
    life: int
    deaths: Sequence[Death]
    found: Sequence[str]
    folder: str = ""

    def print(self) -> None:
        """Show it to a person."""
        print(f"\nFAILED: run {self.seed}, life {self.life}.")
        for number, death in enumerate(self.deaths, start=1):
            power = f", power cut: kept {death.power}" if death.power else ""
            print(f"  death {number}: {death.operation}: {death.manner} {death.place}{power}")
        for found in self.found:
            print(f"  - {found}")
        if self.folder:
            print(f"  kept in {self.folder}", flush=True)


@dataclass
class Report:
    """All of a torture.

    Attributes:
        seed: from which it can be repeated.
        deaths: every one.
        failures: every run that found something wrong.
        requests: how many were answered before deaths.
        runs: how many data directories there were.
    """

    seed: int
    deaths: list[Death] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    requests: int = 0
    runs: int = 0

    def print(self) -> None:
        """Show it to a person."""
        by_operation = Counter((each.operation, each.manner) for each in self.deaths)
        operations = sorted({operation for operation, _ in by_operation})
        manners = sorted({manner for _, manner in by_operation})
        show(
            "Deaths by what was going on",
            ("operation", *manners, "all"),
            [
                (
                    operation,
                    *(f"{by_operation[operation, manner]:,}" for manner in manners),
                    f"{sum(by_operation[operation, manner] for manner in manners):,}",
                )
                for operation in operations
            ],
        )
        places = Counter(each.general_place for each in self.deaths)
        show(
            "Deaths by call and file",
            ("call", "deaths", "power cut"),
            [
                (
                    place,
                    f"{count:,}",
                    f"{sum(bool(d.power) for d in self.deaths if d.general_place == place):,}",
                )
                for place, count in sorted(places.items(), key=lambda item: (-item[1], item[0]))
            ],
        )
        points = {(each.operation, each.manner, each.general_place) for each in self.deaths}
        cuts = sum(bool(each.power) for each in self.deaths)
        print(
            f"{len(self.deaths):,} deaths, {cuts:,} of them with a power cut, at {len(points):,} "
            f"points, in {self.runs:,} stores; {self.requests:,} requests were answered. "
            f"Seed {self.seed}."
        )
        for failure in self.failures:
            failure.print()
        print(f"{len(self.failures):,} failures.")
