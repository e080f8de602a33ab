"""A power cut right after a promise: what was promised is on the disk, names of files included."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random  # noqa: TID251 - what chance keeps, no noise

import pytest

from _interpose import Interposer, library
from _power import Kept, cut_power
from dpdau.bootstrap import backups_of, build, database_of
from dpdau.config import load_settings
from dpdau.hashing import Pseudonymizer
from dpdau.maintenance.backup import back_up
from dpdau.maintenance.restore import restore
from support import Event, columns

DAY = datetime.now(UTC).date() - timedelta(days=3)
SECRET = "the secret of a store that loses its power"
PEOPLE = ("ada", "bob")
DIED = 9


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


def lose_power_after(disk: Path, doing: str, *, secret: str | None = SECRET) -> None:
    """Let a process do something, end without closing anything, and cut the power."""
    die_after(disk, doing, secret=secret)
    cut_power(disk, disk.parent / "undo", Random(1), Kept.NOTHING)  # noqa: S311 - as above


def die_after(disk: Path, doing: str, *, secret: str | None = SECRET) -> None:
    """Let a process do something, and end without closing anything."""
    given = {"data_dir": str(disk / "data"), "hash_salt_secret": secret}
    victim = (
        "import os\n"
        "from dpdau.bootstrap import build\n"
        "from dpdau.config import load_settings\n"
        "from dpdau.maintenance.backup import back_up\n"
        "from support import Event, columns\n"
        f"from datetime import date; DAY = date.fromisoformat('{DAY}')\n"
        f"settings = load_settings(**{given!r})\n"
        f"{doing}\n"
        f"os._exit({DIED})"
    )
    undo = disk.parent / "undo"
    with Interposer(disk.parent / "control", disk, undo=undo) as interposer:
        died = subprocess.run(  # noqa: S603 - this interpreter on this file's own text
            [sys.executable, "-c", victim],
            env={
                "LD_PRELOAD": str(library()),
                "PYTHONPATH": str(Path(__file__).parent.parent),
                **interposer.environment,
            },
            cwd=disk,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert died.returncode == DIED, died.stderr


STORED = f"""
app = build(settings)
app.ingestor.apply(app.ingestor.pseudonymize(columns(Event(user, DAY) for user in {PEOPLE})))
"""


@pytest.mark.parametrize("secret", [SECRET, None])
def test_a_new_store_keeps_what_it_acknowledged(disk: Path, secret: str | None) -> None:
    lose_power_after(disk, STORED, secret=secret)
    settings = load_settings(data_dir=disk / "data", hash_salt_secret=secret)
    with build(settings) as app, app.store.read() as reader:
        assert len(reader.members(DAY.toordinal(), DAY.toordinal())) == len(PEOPLE)


def test_a_backup_that_was_made_is_there(disk: Path) -> None:
    settings = load_settings(data_dir=disk / "data", hash_salt_secret=SECRET)
    with build(settings):
        pass
    lose_power_after(disk, "back_up(settings)")
    assert len(backups_of(settings).files()) == 1


def test_nothing_comes_back_of_someone_whose_erasure_was_done(disk: Path) -> None:
    settings = load_settings(data_dir=disk / "data", hash_salt_secret=SECRET)
    with build(settings) as app:
        app.ingestor.apply(app.ingestor.pseudonymize(columns(Event(u, DAY) for u in PEOPLE)))
        back_up(settings)
    pseudonym = Pseudonymizer(SECRET).pseudonyms(["ada"]).tobytes()
    files = [database_of(settings), *backups_of(settings).files()]
    assert [file.read_bytes().count(pseudonym) for file in files] == [1, 1]
    lose_power_after(disk, STORED + "assert app.erase(['ada']).state == 'done'")
    held = {
        str(file.relative_to(disk / "data")): file.read_bytes().count(pseudonym)
        for file in (disk / "data").rglob("*")
        if file.is_file()
    }
    # The tombstones, and nothing else.
    expected = {str(file.relative_to(disk / "data")) for file in files} | {"erasures.journal"}
    assert {name for name, count in held.items() if count} == expected
    assert max(held.values()) == 1


EMPTY_HALF = """
import sqlite3
db = sqlite3.connect(file, isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN IMMEDIATE")
for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
    if "sqlite" not in name:
        db.execute("DELETE FROM " + name)
db.execute("CREATE TABLE much AS SELECT randomblob(500000)")
"""


def test_a_backup_within_which_an_erasure_died_is_restored_whole(disk: Path) -> None:
    settings = load_settings(data_dir=disk / "data", hash_salt_secret=SECRET)
    with build(settings) as app:
        app.ingestor.apply(app.ingestor.pseudonymize(columns(Event(u, DAY) for u in PEOPLE)))
        backup = back_up(settings).path
    before = backup.read_bytes()
    die_after(disk, f"file = {str(backup)!r}\n{EMPTY_HALF}")
    assert backup.with_name(f"{backup.name}-journal").exists()
    assert backup.read_bytes() != before
    restore(settings, backup)
    with build(settings) as app, app.store.read() as reader:
        assert len(reader.members(DAY.toordinal(), DAY.toordinal())) == len(PEOPLE)
