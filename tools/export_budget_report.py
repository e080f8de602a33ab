"""Write what a few days of invented activity cost under the configured settings.

python tools/export_budget_report.py --sample-days 3 --daily-users 100

The activity goes through the product in a store of its own; the report, described in
docs/reports.md, is written to DATA_DIR/reports/budget-snapshot.json.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import Settings, load_settings
from dpdau.errors import BudgetExhaustedError, DpdauError
from dpdau.formats import read_file
from dpdau.model.calendar import utc_now
from dpdau.model.ledger import GENESIS_HASH
from dpdau.simulation import SyntheticActivity, write_activity
from dpdau.views import BudgetTotalsView

FIRST_DAY = date(2026, 1, 1)
_DELETE_RATE = 0.1
_SEED = 7


class Sample(BaseModel):
    """What was invented, and how many values were published about it."""

    first_day: date
    days: int
    daily_users: int
    events: int
    releases: int


class LedgerHead(BaseModel):
    """How long the ledger is, and what binds it."""

    rows: int
    head: str


class BudgetSnapshot(BaseModel):
    """The report."""

    schema_version: Literal[1] = 1
    generated_at: datetime
    sample: Sample
    budget: BudgetTotalsView
    ledger: LedgerHead


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Write a snapshot of what a sample costs.")
    parser.add_argument("--sample-days", type=int, default=3, help="how many days")
    parser.add_argument("--daily-users", type=int, default=100, help="active on an average day")
    parser.add_argument("--data-dir", type=Path, help="in place of DATA_DIR")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(data_dir=options.data_dir)
        report = snapshot(options.sample_days, options.daily_users)
        path = write(report, settings.data_dir / "reports")
    except DpdauError as error:
        print(f"Error: {error.message}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"Error: the report cannot be written: {error}.", file=sys.stderr)
        return 1
    if not options.quiet:
        print(f"Wrote {path}.")
    return 0


def snapshot(days: int, daily_users: int) -> BudgetSnapshot:
    """Live through the sample in a store that is deleted afterwards.

    Raises:
        DpdauError: if the settings or the numbers are not valid.
    """
    activity = SyntheticActivity(
        days=days,
        daily_users=daily_users,
        delete_rate=_DELETE_RATE,
        end=FIRST_DAY + timedelta(days=days - 1),
        seed=_SEED,
    )
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(data_dir=Path(folder) / "data")
        now = _once_closed(activity.end, settings)
        with build(settings, clock=lambda: now) as application:
            events = _ingest(application, activity, Path(folder) / "events.jsonl")
            releases = _publish(application, activity.end)
            rows = application.ledger()
            return BudgetSnapshot(
                generated_at=utc_now(),
                sample=Sample(
                    first_day=FIRST_DAY,
                    days=days,
                    daily_users=daily_users,
                    events=events,
                    releases=releases,
                ),
                budget=application.budget_totals(),
                ledger=LedgerHead(rows=len(rows), head=rows[-1].hash if rows else GENESIS_HASH),
            )


def write(report: BudgetSnapshot, folder: Path) -> Path:
    """Write the report into a folder, whole or not at all; returns its path."""
    # DATA_DIR may not be there yet, and is closed to others as well.
    for each in (folder.parent, folder):
        each.mkdir(parents=True, exist_ok=True, mode=0o700)
    path, draft = folder / "budget-snapshot.json", folder / ".budget-snapshot.json"
    draft.touch(mode=0o600)
    draft.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return draft.replace(path)


def _once_closed(day: date, settings: Settings) -> datetime:
    """A time at which the day has closed in every time zone."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return midnight + timedelta(days=2, hours=settings.lateness_hours)


def _ingest(application: Application, activity: SyntheticActivity, path: Path) -> int:
    write_activity(activity, path)
    accepted = 0
    for chunk in read_file(path, application.event_rules()):
        application.ingestor.apply(application.ingestor.pseudonymize(chunk.events))
        accepted += len(chunk.events)
    return accepted


def _publish(application: Application, end: date) -> int:
    """Publish as much as the budgets have room for; returns how many values that is."""
    releases = 0
    with suppress(BudgetExhaustedError):
        for _ in application.publish(end, FIRST_DAY):
            releases += 1
    return releases


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
