"""The whole job on real data: eighteen months of a music shop's purchases, in under a minute.

The CDNOW purchase log (23,570 customers, 69,659 purchases, January 1997 to June 1998) is lived
through month by month, with a clock of its own: each month's purchases are ingested, every day's
DAU and MAU is published, and then some customers ask to be erased, a tenth of all in the end.
"""

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from cdnow import Purchase, by_month, find_log, read_log
from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.errors import DpdauError
from dpdau.model.calendar import Period
from dpdau.model.events import EventColumns
from dpdau.model.releases import Metric, Release
from dpdau.views import BudgetTotalsView
from replay import Clock, Published

_ONE_IN = 10
_MONTHS_BEFORE_REQUESTS = 2
_MONTHS_OF_REQUESTS = 15


@dataclass(slots=True)
class Truth:
    """What no reader of the product can see: who was active, from the file itself."""

    customers: dict[date, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, purchases: Iterable[Purchase]) -> None:
        """Count these purchases from now on."""
        for purchase in purchases:
            self.customers[purchase.day].add(purchase.customer)

    def erase(self, customers: Iterable[str]) -> None:
        """Count nothing of these customers' past any more."""
        erased = set(customers)
        for active in self.customers.values():
            active.difference_update(erased)

    def count(self, release: Release) -> int:
        """The true number that a release is about."""
        days = [release.day - timedelta(days=back) for back in range(release.window_days)]
        return len(set().union(*(self.customers.get(day, set()) for day in days)))


def main() -> int:
    """Run the demo; returns the exit code."""
    console = Console(highlight=False)
    try:
        run(console)
    except DpdauError as error:
        console.print(f"Error: {error.message}", markup=False)
        return error.exit_code
    return 0


def run(console: Console) -> None:
    """Live through the log, then print what was published."""
    started = time.monotonic()
    purchases = read_log(find_log(load_settings().example_dataset_path))
    months = by_month(purchases)
    with tempfile.TemporaryDirectory() as folder:
        first_day = next(iter(months)).first
        clock = Clock(datetime(first_day.year, first_day.month, first_day.day, tzinfo=UTC))
        with build(load_settings(data_dir=Path(folder)), clock=clock) as application:
            published, erased = live_through(months, application, clock, console)
            show(console, published, application.budget_totals())
    explain(console, published, erased, len({purchase.customer for purchase in purchases}))
    seconds = time.monotonic() - started
    console.print(f"\n{len(purchases):,} purchases, {seconds:.0f} s.")


def live_through(
    months: dict[Period, list[Purchase]], application: Application, clock: Clock, console: Console
) -> tuple[list[Published], int]:
    """Ingest, publish and erase, month by month; returns the values and how many were erased."""
    truth = Truth()
    published: list[Published] = []
    erased = 0
    customers = sorted({each.customer for purchases in months.values() for each in purchases})
    for number, month in enumerate(track(months, "Publishing", console=console, transient=True)):
        clock.now = datetime.combine(month.last, datetime.min.time(), UTC) + timedelta(hours=36)
        ingest(application, months[month])
        truth.add(months[month])
        published += [Published(each, truth.count(each)) for each in application.publish()]
        leaving = [customer for customer in customers if asks_in_month(customer) == number]
        if leaving:
            application.erase(leaving)
            truth.erase(leaving)
            erased += len(leaving)
    return published, erased


def asks_in_month(customer: str) -> int | None:
    """The number of the month at whose end a customer asks to be erased; None for nine in ten."""
    number = int(customer)
    if number % _ONE_IN:
        return None
    return _MONTHS_BEFORE_REQUESTS + number // _ONE_IN % _MONTHS_OF_REQUESTS


def ingest(application: Application, purchases: list[Purchase]) -> None:
    """Send purchases to the product; each makes its customer active on its day."""
    count = len(purchases)
    events = EventColumns(
        user_ids=[purchase.customer for purchase in purchases],
        days=np.array([purchase.day.toordinal() for purchase in purchases], dtype=np.int32),
        adds=np.ones(count, dtype=np.bool_),
        whole_user=np.zeros(count, dtype=np.bool_),
    )
    application.ingestor.apply(application.ingestor.pseudonymize(events))


def show(console: Console, published: list[Published], totals: BudgetTotalsView) -> None:
    """The last day of every month, with what the month has cost."""
    found = {(each.release.metric, each.release.day): each for each in published}
    spent = {(each.metric, each.period): each for each in totals.periods}
    caps = {each.metric: each.epsilon_cap for each in totals.periods}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("day", no_wrap=True)
    for metric in Metric:
        table.add_column(metric.upper(), justify="right", style="bold", no_wrap=True)
        table.add_column("95 %\ninterval", justify="right", no_wrap=True)
        table.add_column("true\n(file)", justify="right", style="dim", no_wrap=True)
        table.add_column(f"ε of\n{caps[metric]:g}", justify="right", no_wrap=True)
    for name in sorted({each.release.period for each in published}):
        day = Period.named(name).last
        cells = [str(day)]
        for metric in Metric:
            value = found[metric, day]
            release = value.release
            cells += [
                f"{release.estimate:,}",
                f"{release.lower_95:,.0f}–{release.upper_95:,.0f}",
                f"{value.true_count:,}",
                f"{spent[metric, name].epsilon_spent:.1f}",
            ]
        table.add_row(*cells)
    console.print("CDNOW, the last day of every month, and the ε spent of each month's budget:")
    console.print(table)


def explain(console: Console, published: list[Published], erased: int, customers: int) -> None:
    """What it means, in three lines."""
    covered = sum(each.is_covered for each in published)
    console.print(
        f"• {len(published):,} values, a DAU and a MAU for each day: none was refused, since one "
        "budget pays for a whole month.\n"
        f"• {covered / len(published):.1%} of the 95 % intervals hold the true number, which only "
        "this demo can see, from the file.\n"
        f"• {erased:,} of {customers:,} customers asked to be erased: later values exclude them, "
        "and nobody can tell from the values whether any one customer ever bought anything, "
        "beyond the stated ε."
    )


if __name__ == "__main__":
    sys.exit(main())
