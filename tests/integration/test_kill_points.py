"""A process that dies at each step of a release: a row with its value, or none and nothing spent."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Metric
from support import Event, columns

DAY = datetime.now(UTC).date() - timedelta(days=3)
SETTINGS: dict[str, Any] = {
    "mechanism_dau": "laplace",
    "epsilon_dau": 0.5,
    "dau_budget_total": 0.5,
    "w_bound_mau": "unbounded",
}
KILLED = 137
STEPS = {
    "the budget is checked": ("dpdau.pipeline.budget.Budget.require", 0),
    "the row is made": ("dpdau.pipeline.ledger.append_row", 0),
    "the row is written": ("dpdau.store.sqlite.transaction.SqliteTransaction.append_ledger", 0),
    "the copy is read": ("dpdau.pipeline.guard.LedgerGuard.keep", 1),
    "the copy is written": ("dpdau.store.head.replace_durably", 1),
    "the copy is put in place": ("pathlib.Path.replace", 1),
    "the value is shown": ("dpdau.views.ReleaseView.priced", 1),
}
VICTIM = f"""
import os, pkgutil, sys
from datetime import date
from unittest.mock import patch
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.model.releases import Metric

with build(load_settings(data_dir=sys.argv[1], **{SETTINGS!r})) as app:
    name, before = sys.argv[2], sys.argv[3] == "before"
    real = pkgutil.resolve_name(name)

    def die(*arguments, **named):
        if not before:
            real(*arguments, **named)
        os._exit({KILLED})

    owner, _, attribute = name.rpartition(".")
    with patch.object(pkgutil.resolve_name(owner), attribute, die):
        if attribute == "append_row":
            sys.modules["dpdau.pipeline.series"].append_row = die
        print(app.release(Metric(sys.argv[4]), date.fromisoformat("{DAY}")).estimate, flush=True)
"""


def kill(data_dir: Path, step: str, moment: str, metric: Metric) -> None:
    died = subprocess.run(  # noqa: S603 - this interpreter on this file's own text
        [sys.executable, "-c", VICTIM, str(data_dir), STEPS[step][0], moment, metric],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (died.returncode, died.stdout) == (KILLED, ""), died.stderr


@pytest.mark.parametrize("step", STEPS)
def test_a_release_that_dies_leaves_its_row_or_nothing(tmp_path: Path, step: str) -> None:
    moment = "after" if step == "the row is written" else "before"
    kill(tmp_path, step, moment, Metric.DAU)
    with build(load_settings(data_dir=tmp_path, **SETTINGS)) as app:
        assert app.verify().rows == STEPS[step][1]
        recorded = [row.body["measurement"] for row in app.ledger()]
        value = app.release(Metric.DAU, DAY)
        assert value.budget.epsilon_spent <= 0.5
        assert app.verify().rows == 1
        assert recorded in ([], [value.estimate_raw])


def test_a_series_that_dies_again_and_again_measures_each_day_once(tmp_path: Path) -> None:
    measured: dict[str, int] = {}
    for step in ("the row is written", "the copy is read", "the copy is put in place"):
        kill(tmp_path, step, "after" if step == "the row is written" else "before", Metric.MAU)
        with build(load_settings(data_dir=tmp_path, **SETTINGS)) as app:
            app.verify()
            rows = [row for row in app.ledger() if row.kind is LedgerKind.RELEASE]
        now = {row.subject: row.body["measurement"] for row in rows}
        assert now.items() >= measured.items()
        measured = now
    with build(load_settings(data_dir=tmp_path, **SETTINGS)) as app:
        app.release(Metric.MAU, DAY)
        found = app.verify().kinds
    assert (found[LedgerKind.SERIES], found[LedgerKind.RELEASE]) == (1, DAY.day)


FORMER, PRESENT = "the former secret of all", "the present secret of all"
ROTATING = {"hash_salt_secret": PRESENT, "hash_salt_secret_previous": FORMER}
ROTATION_STEPS = [
    "dpdau.pipeline.rotation.Rotation.keep",
    "dpdau.store.sqlite.transaction.SqliteTransaction.put_meta",
    "dpdau.store.sqlite.transaction.SqliteTransaction.rename",
]
ROTATION_VICTIM = f"""
import os, pkgutil, sys
from unittest.mock import patch
from dpdau.bootstrap import build
from dpdau.config import load_settings

name = sys.argv[2]
real = pkgutil.resolve_name(name)

def die(*arguments, **named):
    real(*arguments, **named)
    os._exit({KILLED})

owner, _, attribute = name.rpartition(".")
with patch.object(pkgutil.resolve_name(owner), attribute, die):
    with build(load_settings(data_dir=sys.argv[1], **{ROTATING!r})) as app:
        app.erase(["ada"])
"""


@pytest.mark.parametrize("step", ROTATION_STEPS)
def test_a_rotation_that_dies_loses_nobody(tmp_path: Path, step: str) -> None:
    events = columns(Event(user, DAY) for user in ("ada", "bob"))
    with build(load_settings(data_dir=tmp_path, hash_salt_secret=FORMER)) as app:
        app.ingestor.apply(app.ingestor.pseudonymize(events))
    died = subprocess.run(  # noqa: S603 - this interpreter on this file's own text
        [sys.executable, "-c", ROTATION_VICTIM, str(tmp_path), step],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert died.returncode == KILLED, died.stderr
    with build(load_settings(data_dir=tmp_path, **ROTATING)) as app:
        assert app.rotation().users_remaining == 2
        app.ingestor.apply(app.ingestor.pseudonymize(events))
        with app.store.read() as reader:
            assert len(reader.members(DAY.toordinal(), DAY.toordinal())) == 2
        assert app.rotation().state == "complete"
