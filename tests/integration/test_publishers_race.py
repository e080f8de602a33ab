"""Several publishers on one store, some killed: every row exactly once, every price paid once."""

import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Metric

LAST = datetime.now(UTC).date().replace(day=1) - timedelta(days=1)
FIRST = (LAST.replace(day=1) - timedelta(days=1)).replace(day=1)  # two whole months
SETTINGS = {
    "mechanism_mau": "gaussian",
    "epsilon_mau": 0.5,
    "mau_budget_total": 1.0,
    "lateness_hours": 0,
}
EXHAUSTED = 8
PUBLISHER = f"""
import sys
from datetime import date
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.errors import BudgetExhaustedError

with build(load_settings(data_dir=sys.argv[1], **{SETTINGS!r})) as app:
    try:
        for release in app.publish(date.fromisoformat("{LAST}"), date.fromisoformat("{FIRST}")):
            print(release.release_id, flush=True)
    except BudgetExhaustedError:
        sys.exit({EXHAUSTED})
"""


def publisher(data_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(  # noqa: S603 - this interpreter on this file's own text
        [sys.executable, "-c", PUBLISHER, str(data_dir)], stdout=subprocess.PIPE, text=True
    )


def check(data_dir: Path) -> Counter[str]:
    """Check that the store is sound; returns how often each release is in the ledger."""
    with build(load_settings(data_dir=data_dir, **SETTINGS)) as app:
        app.verify()
        rows = app.ledger(Metric.DAU)
        series = Counter(row.subject for row in rows if row.kind is LedgerKind.SERIES)
        assert set(series.values()) <= {1}
        for view in app.budget_totals().periods:
            assert view.epsilon_spent <= view.epsilon_cap * (1 + 1e-9)
        return Counter(row.subject for row in rows if row.kind is LedgerKind.RELEASE)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    with build(load_settings(data_dir=tmp_path / "data", **SETTINGS)) as app:
        app.store.check()
    return tmp_path / "data"


def test_publishers_that_race_publish_each_day_exactly_once(data_dir: Path) -> None:
    racing = [publisher(data_dir) for _ in range(3)]
    for process in racing:
        process.communicate(timeout=120)
    released = check(data_dir)
    assert set(released.values()) == {1}
    assert len(released) == (LAST - FIRST).days + 1


def test_a_budget_for_few_releases_is_not_overspent_by_a_race(data_dir: Path) -> None:
    racing = [publisher(data_dir) for _ in range(3)]
    for process in racing:
        process.communicate(timeout=120)
    assert {process.returncode for process in racing} == {EXHAUSTED}
    with build(load_settings(data_dir=data_dir, **SETTINGS)) as app:
        app.verify()
        budget = app.budget_of(Metric.MAU, FIRST)
        values = [row for row in app.ledger(Metric.MAU) if row.kind is LedgerKind.RELEASE]
    assert budget.releases == len(values) > 1
    assert budget.epsilon_spent <= 1.0
    assert budget.epsilon_remaining < 0.5


def test_a_publisher_killed_at_any_moment_leaves_whole_rows_and_the_next_goes_on(
    data_dir: Path,
) -> None:
    published = 0
    for lines in (1, 7, 20):
        process = publisher(data_dir)
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.kill()
        process.communicate()
        released = check(data_dir)
        assert set(released.values()) <= {1}
        assert len(released) >= published
        published = len(released)
    publisher(data_dir).communicate(timeout=120)
    assert len(check(data_dir)) == (LAST - FIRST).days + 1
