"""How the cost of an event grows with users, days, and the size of a commit.

Events are applied to a store that holds a population already, in transactions as the service
makes them; each is durable before the next begins, and they are so many that what they append is
merged in between. 70 % repeat a user and day of before. They tell of the last two days, as live ones
do, or of any day that is kept, which is the worst case.

Run: python bench/growth.py [--short]     (needs the extra `bench`)
"""

import argparse
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from _harness import keep, made_up_events, seconds_of, show
from _population import Population, fill, opened, user_ids
from dpdau.model.events import EventColumns
from dpdau.pipeline.ingest import Ingestor

FIGURE = Path(__file__).parents[1] / "docs" / "images" / "growth.svg"


@dataclass(frozen=True, slots=True)
class Setting:
    """One point of a curve.

    Attributes:
        users: how many people the store knows.
        days: over how many days activity is kept.
        batch: how many events a transaction takes.
    """

    users: int = 1_000_000
    days: int = 30
    batch: int = 20_000


USERS = (10_000, 100_000, 1_000_000, 10_000_000, 30_000_000)
DAYS = (30, 100, 200, 400)
BATCHES = (100, 1_000, 5_000, 20_000, 100_000)
TRANSACTIONS = 130
LIVE_DAYS = 2
LIVE, SPREAD = "of the last two days", "of all days"

Curve = dict[int, dict[str, float]]
"""By what grows: events a second, live and spread."""


def events_per_second(setting: Setting, data_dir: Path) -> dict[str, float]:
    """Events a second of all transactions, in a store that holds 2 % activity."""
    population = Population(setting.users, setting.days, 0.02)
    fill(data_dir, population)
    return {
        name: _applied(setting, data_dir, population, days)
        for name, days in ((LIVE, LIVE_DAYS), (SPREAD, setting.days))
    }


def _applied(setting: Setting, data_dir: Path, population: Population, days: int) -> float:
    """Events a second, of so many days."""
    made_up = made_up_events(
        setting.batch * TRANSACTIONS, users=setting.users, days=days, end=population.last_day
    )
    with opened(data_dir) as application:
        application.store.warm()
        ingestor = application.ingestor
        seconds = 0.0
        for start in range(0, len(made_up), setting.batch):
            part = slice(start, start + setting.batch)
            events = EventColumns(
                user_ids=user_ids(made_up.users[part]),
                days=made_up.days[part].astype("int32"),
                adds=made_up.adds[part],
                whole_user=made_up.adds[part] & False,
            )
            seconds += seconds_of(partial(_apply, ingestor, events))
    return len(made_up) / seconds


def _apply(ingestor: Ingestor, events: EventColumns) -> None:
    ingestor.apply(ingestor.pseudonymize(events))


def curve(settings: Iterable[Setting]) -> list[dict[str, float]]:
    """Events a second at each of these settings."""
    speeds = []
    for setting in settings:
        with tempfile.TemporaryDirectory() as folder:
            speeds.append(events_per_second(setting, Path(folder)))
    return speeds


def draw(curves: dict[str, Curve], path: Path) -> None:
    """One panel a curve."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True)
    for panel, (name, points) in zip(panels, curves.items(), strict=True):
        for kind in (LIVE, SPREAD):
            speeds = [speed[kind] / 1e3 for speed in points.values()]
            panel.plot(list(points), speeds, marker="o", label=f"events {kind}")
        panel.set(xscale="log", xlabel=name, ylim=(0, None))
        panel.set_xticks(list(points), [_short(at) for at in points])
        panel.minorticks_off()
        panel.grid(visible=True, alpha=0.3)
    panels[0].set_ylabel("thousand events a second")
    panels[-1].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def _short(number: int) -> str:
    """30 M, 100 k, 400."""
    for size, letter in ((1_000_000, " M"), (1_000, " k")):
        if number >= size:
            return f"{number // size}{letter}"
    return str(number)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, draw the figure and keep the numbers."""
    parser = argparse.ArgumentParser(description="Measure how the cost of an event grows.")
    parser.add_argument("--short", action="store_true", help="small: checks that it runs")
    options = parser.parse_args(arguments)
    users, days, batches = (
        ((1_000, 2_000), (3, 5), (10, 100)) if options.short else (USERS, DAYS, BATCHES)
    )
    base = Setting(users=1_000, days=3) if options.short else Setting()
    curves = {
        "users": dict(zip(users, curve(Setting(n, base.days) for n in users), strict=True)),
        "days": dict(zip(days, curve(Setting(base.users, n) for n in days), strict=True)),
        "events a transaction": dict(
            zip(batches, curve(Setting(base.users, base.days, n) for n in batches), strict=True)
        ),
    }
    rows = [
        (name, f"{at:,}", *(f"{speeds[kind]:,.0f}" for kind in (LIVE, SPREAD)))
        for name, points in curves.items()
        for at, speeds in points.items()
    ]
    show("Events a second as one of these grows", ("what grows", "to", LIVE, SPREAD), rows)
    if not options.short:
        draw(curves, FIGURE)
        print(keep("growth", curves))


if __name__ == "__main__":
    main()
