"""What a load test found, from locust's tables and the comparison with the store."""

import csv
from collections.abc import Sequence
from pathlib import Path

import msgspec

from _comparison import DayComparison
from _harness import show

__all__ = ["Failure", "Report", "Route", "failures_in", "routes_in"]

# How the service turns away what is too much for it, and says when to try again.
_TURNED_AWAY = ("429 ", "503 ")
_ALL = "Aggregated"


class Route(msgspec.Struct, frozen=True):
    """How the requests of one kind were answered; times in milliseconds."""

    name: str
    requests: int
    failures: int
    requests_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


class Failure(msgspec.Struct, frozen=True):
    """What went wrong, and how often."""

    route: str
    kind: str
    count: int

    @property
    def is_expected(self) -> bool:
        """Whether the service may do so under load."""
        return self.kind.startswith(_TURNED_AWAY)


class Report(msgspec.Struct, frozen=True):
    """The whole of it.

    Attributes:
        seed: of the traffic.
        host: the address that was asked.
        routes: one each, and all together at the end.
        failures: by route and kind.
        acknowledged_events: what the service promised to keep.
        days: what the store says; None if it could not be looked at.
        unchecked: why not; empty if it was looked at.
        is_own: whether the store is the test's own, which then holds nobody else.
    """

    seed: int
    host: str
    routes: list[Route]
    failures: list[Failure]
    acknowledged_events: int
    days: list[DayComparison] | None
    unchecked: str
    is_own: bool

    @property
    def lost(self) -> int:
        """How many acknowledged states of a person on a day the store does not have."""
        return sum(day.lost for day in self.days or ())

    @property
    def faults(self) -> list[str]:
        """Every reason for which the test has failed."""
        faults = [
            f"{each.count:,} × {each.route}: {each.kind}"
            for each in self.failures
            if not each.is_expected
        ]
        if self.lost:
            faults.append(f"{self.lost:,} acknowledged events are lost")
        elif self.is_own and not all(day.is_exact for day in self.days or ()):
            faults.append("the store holds other people than were sent")
        if not self.acknowledged_events:
            faults.append("not one batch was acknowledged")
        return faults

    @property
    def events_per_second(self) -> float:
        """Of acknowledged events, over the whole test."""
        total = self.routes[-1]
        seconds = total.requests / total.requests_per_second if total.requests else 0
        return self.acknowledged_events / seconds if seconds else 0

    def print(self) -> None:
        """Show it to a person."""
        show(
            f"Load on {self.host}, seed {self.seed}",
            ("route", "requests", "failed", "requests/s", "p50 ms", "p95 ms", "p99 ms"),
            [_route_row(route) for route in self.routes],
            f"{self.acknowledged_events:,} events acknowledged, {self.events_per_second:,.0f} a second",
        )
        if self.failures:
            show(
                "What failed",
                ("route", "kind", "count"),
                [
                    (each.route, each.kind, f"{each.count:,}")
                    for each in sorted(self.failures, key=lambda each: -each.count)
                ],
                "429 and 503 turn away what is too much; anything else is a fault.",
            )
        if self.days is None:
            print(f"Not checked whether anything acknowledged was lost: {self.unchecked}")
        else:
            show(
                "What the store holds",
                ("day", "acknowledged", "in doubt", "stored", "lost"),
                [_day_row(day) for day in self.days],
                "in doubt: their request had no answer; stored: whoever sent them",
            )
        for fault in self.faults:
            print(f"FAILED: {fault}.")
        if not self.faults:
            print("Nothing acknowledged was lost." if self.days else "No unexpected answer.")


def routes_in(folder: Path) -> list[Route]:
    """What locust counted, all together at the end."""
    return [
        Route(
            name=row["Name"] if row["Name"] == _ALL else f"{row['Type']} {row['Name']}",
            requests=int(row["Request Count"]),
            failures=int(row["Failure Count"]),
            requests_per_second=float(row["Requests/s"]),
            p50_ms=_milliseconds(row["50%"]),
            p95_ms=_milliseconds(row["95%"]),
            p99_ms=_milliseconds(row["99%"]),
        )
        for row in _rows(folder / "load_stats.csv")
    ]


def failures_in(folder: Path) -> list[Failure]:
    """What locust was told of failures."""
    return [
        Failure(f"{row['Method']} {row['Name']}", _kind(row["Error"]), int(row["Occurrences"]))
        for row in _rows(folder / "load_failures.csv")
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _kind(error: str) -> str:
    """What the clients said of a failure, without the name of locust's class around it."""
    return error.removeprefix("CatchResponseError('").removesuffix("')")


def _milliseconds(text: str) -> float:
    """A percentile, which is N/A without requests."""
    return 0.0 if text == "N/A" else float(text)


def _route_row(route: Route) -> Sequence[str]:
    times = (route.p50_ms, route.p95_ms, route.p99_ms)
    return (
        route.name,
        f"{route.requests:,}",
        f"{route.failures:,}",
        f"{route.requests_per_second:,.1f}",
        *(f"{time:,.0f}" for time in times),
    )


def _day_row(day: DayComparison) -> Sequence[str]:
    numbers = (day.expected, day.doubtful, day.stored, day.lost)
    return (day.day.isoformat(), *(f"{number:,}" for number in numbers))
