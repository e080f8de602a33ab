"""What it costs to erase, and what a deletion adversary can make it cost.

An erasure here is all of it: out of every day, mapping forgotten, tombstone, pages overwritten,
write-ahead log emptied, journal synced, record completed. The rival keeps a log of (user, day)
pairs and erases as such systems must: it writes the log anew without the person and builds the
sets of the days again.

Run: python bench/erasure.py [--short]
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from pyroaring import BitMap

from _harness import keep, median, seconds_of, show
from _population import Population, activity, fill, opened, user_ids
from dpdau.application import Application
from dpdau.model.events import EventColumns


@dataclass(frozen=True, slots=True)
class Work:
    """What is measured.

    Attributes:
        population: who there is.
        single: how many erasures of one person.
        many: how many people one request names.
        toggles: how often the adversary leaves and returns.
    """

    population: Population
    single: int
    many: int
    toggles: int


FULL = Work(Population(10_000_000, 30), 51, 100_000, 200)
SHORT = Work(Population(5_000, 30), 3, 200, 3)
_DAYS_TOUCHED = (1, 3, 10, 30)


def erase(application: Application, numbers: Sequence[int]) -> float:
    """Seconds of one request, to its end."""
    ids = user_ids(np.array(numbers))

    def work() -> None:
        if application.erase(ids).state != "done":
            message = "The erasure was not completed"
            raise AssertionError(message)

    return seconds_of(work)


def visit(application: Application, number: int, days: int, last: date) -> None:
    """Let a person be active on as many days up to the last one, and on no other."""
    newest = last.toordinal()
    events = EventColumns(
        user_ids=user_ids(np.full(days, number)),
        days=np.arange(newest - days + 1, newest + 1, dtype=np.int32),
        adds=np.ones(days, dtype=np.bool_),
        whole_user=np.zeros(days, dtype=np.bool_),
    )
    application.ingestor.apply(application.ingestor.pseudonymize(events))


def by_days_touched(application: Application, work: Work) -> dict[int, float]:
    """Median seconds of erasing people who were active on one day, and on more."""
    stranger = work.population.users
    seconds = {}
    for days in _DAYS_TOUCHED:
        runs = []
        for _ in range(work.single):
            stranger += 1
            visit(application, stranger, days, application.calendar.last_closed_day())
            runs.append(erase(application, [stranger]))
        seconds[days] = median(runs)
    return seconds


def toggling(application: Application, work: Work) -> tuple[float, float]:
    """Median seconds of the first and the last tenth of one person's many erasures.

    Whoever was erased may come back on the same day, and be erased again.
    """
    runs = []
    for _ in range(work.toggles):
        visit(application, work.population.users, 1, application.calendar.today())
        runs.append(erase(application, [work.population.users]))
    tenth = max(len(runs) // 10, 1)
    return median(runs[:tenth]), median(runs[-tenth:])


def rebuild_from_log(population: Population, folder: Path) -> float:
    """Seconds to erase one person from a log of pairs and to build the days again."""
    file = folder / "log.npy"
    days = [activity(population, day) for day in range(population.days)]
    pairs = np.empty(sum(map(len, days)), dtype=[("user", "<u8"), ("day", "<u4")])
    pairs["user"] = np.concatenate(days)
    pairs["day"] = np.repeat(np.arange(population.days), [len(day) for day in days])
    np.save(file, pairs)
    del days, pairs

    def work() -> None:
        log = np.load(file)
        log = log[log["user"] != 1]
        np.save(file, log)
        for day in range(population.days):
            BitMap(log["user"][log["day"] == day].astype(np.uint32))

    return seconds_of(work)


def compare(work: Work, folder: Path) -> dict[str, Any]:
    """Everything that the table shows."""
    fill(folder / "data", work.population)
    with opened(folder / "data") as application:
        application.store.warm()
        single = median([erase(application, [number]) for number in range(work.single)])
        many = erase(application, range(1_000, 1_000 + work.many))
        touched = by_days_touched(application, work)
        first, last = toggling(application, work)
    return {
        "users": work.population.users,
        "many": work.many,
        "single_seconds": single,
        "many_seconds": many,
        "by_days_touched": touched,
        "toggling_first_seconds": first,
        "toggling_last_seconds": last,
        "rebuild_seconds": rebuild_from_log(work.population, folder),
    }


def rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What was measured, and beside what."""
    rebuild, single = found["rebuild_seconds"], found["single_seconds"]
    many = found["many"]
    return [
        (
            "one person",
            f"{single * 1e3:.1f} ms",
            f"rebuilding from a log {rebuild:.1f} s, {rebuild / single:,.0f} × as long",
        ),
        (
            f"{many:,} people in one request",
            f"{found['many_seconds']:.2f} s",
            f"{found['many_seconds'] / many * 1e6:.1f} µs a person",
        ),
        *(
            (f"one person, active on {days} days", f"{seconds * 1e3:.1f} ms", "")
            for days, seconds in found["by_days_touched"].items()
        ),
        (
            "one person who keeps coming back",
            f"{found['toggling_last_seconds'] * 1e3:.1f} ms",
            f"at first {found['toggling_first_seconds'] * 1e3:.1f} ms",
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and keep the figures."""
    parser = argparse.ArgumentParser(description="Measure erasure.")
    parser.add_argument("--short", action="store_true", help="few users: checks that it runs")
    options = parser.parse_args(arguments)
    work = SHORT if options.short else FULL
    with tempfile.TemporaryDirectory() as folder:
        found = compare(work, Path(folder))
    title = f"Erasing, with {work.population.users:,} users and {work.population.days} days"
    show(title, ("work", "ours", "beside"), rows(found), "Medians of several runs.")
    if not options.short:
        print(keep("erasure", found))


if __name__ == "__main__":
    main()
