"""A process that dies at each step of a backup or a restore: the one store or the other, whole."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dpdau.bootstrap import backups_of, build
from dpdau.config import Settings, load_settings
from dpdau.maintenance.backup import back_up
from dpdau.maintenance.restore import restore
from dpdau.model.releases import Metric
from support import Event
from support.places import gone, pseudonym_of, send

DAY = datetime.now(UTC).date() - timedelta(days=3)
SETTINGS: dict[str, Any] = {
    "mechanism_dau": "laplace",
    "mechanism_mau": "laplace",
    "hash_salt_secret": "one secret for every store of these tests",
}
KILLED = 137
FOLDERS = "dpdau.store.folders."
RESTORE_STEPS = {
    "the former store is opened": "dpdau.maintenance.restore.prepare",
    "what it has is read": "dpdau.maintenance.restore.Remains.of",
    "people are erased again": "dpdau.maintenance.restore.reapply",
    "it is handed over": "dpdau.pipeline.restoring.Remains.hand_over",
    "it is verified": "dpdau.maintenance.restore.verify",
    "it is synced": FOLDERS + "sync",
    "it takes its place": "pathlib.Path.replace",
    "the draft is removed": "shutil.rmtree",
}
BACKUP_STEPS = {
    "it is copied": "dpdau.store.SqliteStore.copy_to",
    "it is checked": "dpdau.maintenance.backup.verify_chain",
    "it is synced": FOLDERS + "sync",
    "it takes its place": "pathlib.Path.replace",
}
VICTIM = f"""
import os, pkgutil, sys
from pathlib import Path
from unittest.mock import patch
from dpdau.config import load_settings
from dpdau.maintenance.backup import back_up
from dpdau.maintenance.restore import restore

name, when, doing = sys.argv[2:5]
owner, _, attribute = name.rpartition(".")
real = pkgutil.resolve_name(name)

def die(*arguments, **named):
    if when == "after":
        real(*arguments, **named)
    os._exit({KILLED})

settings = load_settings(data_dir=sys.argv[1], **{SETTINGS!r})
with patch.object(pkgutil.resolve_name(owner), attribute, die):
    if doing == "restore":
        restore(settings, Path(sys.argv[5]))
    else:
        back_up(settings, reached=lambda *_: None)
"""


def kill(settings: Settings, step: str, when: str, *doing: str) -> None:
    died = subprocess.run(  # noqa: S603 - this interpreter on this file's own text
        [sys.executable, "-c", VICTIM, str(settings.data_dir), step, when, *doing],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert died.returncode == KILLED, died.stderr


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a store in which two people are active."""
    configured = load_settings(data_dir=tmp_path / "data", **SETTINGS)
    with build(configured) as app:
        send(app, [Event("ada", DAY), Event("bob", DAY)])
        app.release(Metric.DAU, DAY)
    return configured


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", RESTORE_STEPS)
def test_a_restore_that_dies_leaves_the_former_store_or_the_restored_one(
    settings: Settings, step: str, when: str
) -> None:
    backup = back_up(settings).path
    with build(settings) as app:
        app.release(Metric.MAU, DAY)
        send(app, [Event("late", DAY), Event("later", DAY)])
        app.erase(["ada"])
    kill(settings, RESTORE_STEPS[step], when, "restore", str(backup))

    is_restored = (step, when) == ("it takes its place", "after") or step == "the draft is removed"
    with build(settings) as app:
        assert app.verify().rows == 2
        with app.store.read() as reader:
            assert len(reader.members(1, 10**6)) == (1 if is_restored else 3)
            assert reader.user_indices(pseudonym_of("ada")).tolist() == [-1]
    backups_of(settings).erase(gone("ada", DAY), None)
    assert not list(settings.data_dir.glob("*.draft"))
    restore(settings, backup)
    with build(settings) as app, app.store.read() as reader:
        assert len(reader.members(1, 10**6)) == 1
        assert len(reader.ledger()) == 2


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", BACKUP_STEPS)
def test_a_backup_that_dies_leaves_a_whole_file_or_none(
    settings: Settings, step: str, when: str
) -> None:
    kill(settings, BACKUP_STEPS[step], when, "back up")
    made = backups_of(settings).files()
    assert len(made) == ((step, when) == ("it takes its place", "after"))
    backups_of(settings).erase(gone("ada", DAY), None)
    assert list(backups_of(settings).path.iterdir()) == made
    for file in made:
        restore(settings, file)
