"""A store moves from its file into a database: everything comes along, and nothing twice."""

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from dpdau.application import Application
from dpdau.bootstrap import build, open_store
from dpdau.config import Settings, load_settings
from dpdau.errors import BackupError, LedgerRolledBackError, StoreInUseError, WrongSecretError
from dpdau.maintenance.backup import back_up
from dpdau.maintenance.moving import Moved, move_store
from dpdau.maintenance.restore import restore
from dpdau.model.releases import Metric
from dpdau.pipeline.ports import Reader
from dpdau.store.sqlite.inspection import inspecting
from support import Event, FakeClock, columns

CLOCK = FakeClock()
DAY = CLOCK.now.date() - timedelta(days=2)
SETTINGS: dict[str, Any] = {"lateness_hours": 0, "w_bound_mau": 2}
FORMER = "the former secret of all"
PRESENT = "the present secret of all"


def settings(folder: Path, **more: Any) -> Settings:
    return load_settings(data_dir=folder, **{**SETTINGS, **more})


def opened(folder: Path, **more: Any) -> Application:
    return build(settings(folder, **more), clock=CLOCK)


def move(folder: Path, url: str, **more: Any) -> Moved:
    return move_store(settings(folder, **more), SecretStr(url), clock=CLOCK)


def send(app: Application, *events: Event) -> None:
    app.ingestor.apply(app.ingestor.pseudonymize(columns(events)))


def content(reader: Reader) -> list[Any]:
    """All that a store has."""
    users = sorted(reader.known_users())
    stones = reader.tombstones()
    return [
        users,
        reader.index_bound(),
        {day: reader.members(day, day) for day in (0, *reader.days())},
        [column.tolist() for column in (stones.pseudonyms, stones.erased_on, stones.user_indices)],
        reader.ledger(),
        [(key, reader.series_state(key)) for key in reader.series_keys()],
        reader.erasures(),
        reader.metas(),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with everything that one can have: rotation, series, erasures, retractions."""
    folder = tmp_path / "data"
    with opened(folder, hash_salt_secret=FORMER) as app:
        for back in range(5):
            day = DAY - timedelta(days=back)
            send(app, *(Event(f"user-{number}", day) for number in range(back, 40)))
        send(app, Event("user-39", DAY, add=False))
        app.release(Metric.MAU, DAY)
        app.release(Metric.DAU, DAY, None)
        app.erase(["user-7"], "a request")
    with opened(folder, hash_salt_secret=PRESENT, hash_salt_secret_previous=FORMER) as app:
        send(app, Event("user-1", DAY))
    return folder


ROTATED = {"hash_salt_secret": PRESENT, "hash_salt_secret_previous": FORMER}


def test_all_of_a_store_is_in_the_database_and_it_goes_on_there(
    folder: Path, database: str
) -> None:
    with inspecting(folder / "dpdau.sqlite3", 1) as store:
        before = content(store.reader)
    with opened(folder, **ROTATED) as app:
        told = app.release(Metric.MAU, DAY)
    moved = move(folder, database, hash_salt_secret=PRESENT)
    assert (moved.copied.users, moved.copied.tombstones) == (39, 1)
    assert not moved.is_resumed
    assert not (folder / "dpdau.sqlite3").exists()
    assert moved.former.parent == folder / "backups"
    with opened(folder, service_database_url=database, **ROTATED) as app:
        with app.store.read() as reader:
            after = content(reader)
            after[-1] = {name: after[-1][name] for name in before[-1]}
        assert after == before
        app.verify()
        assert app.release(Metric.MAU, DAY).estimate_raw == told.estimate_raw
        # The next row of the running series, the one limiter, and the one rotation.
        CLOCK.advance(days=1)
        assert app.release(Metric.MAU, DAY + timedelta(days=1)).estimate_raw is not None
        send(app, Event("user-2", DAY))
        assert app.rotation().users_remaining == 37
        assert app.erase(["user-7", "user-8"]).state == "done"
        with app.store.read() as reader:
            assert len(reader.known_users()) == 38
    CLOCK.advance(days=-1)


def test_erasures_reach_the_former_file(folder: Path, database: str) -> None:
    moved = move(folder, database, hash_salt_secret=PRESENT)
    with opened(folder, service_database_url=database, **ROTATED) as app:
        app.erase(["user-3"])
    with inspecting(moved.former, 1) as backup:
        assert len(backup.reader.known_users()) == 38
        assert len(backup.reader.tombstones()) == 2


def test_a_move_that_died_before_its_end_is_resumed(folder: Path, database: str) -> None:
    copy = folder.parent / "copy.sqlite3"
    moved = move(folder, database, hash_salt_secret=PRESENT)
    shutil.copyfile(moved.former, copy)
    moved.former.rename(folder / "dpdau.sqlite3")
    again = move(folder, database, hash_salt_secret=PRESENT)
    assert again.is_resumed
    assert again.copied == moved.copied
    assert not (folder / "dpdau.sqlite3").exists()


def test_a_database_that_has_gone_on_is_not_overwritten(folder: Path, database: str) -> None:
    moved = move(folder, database, hash_salt_secret=PRESENT)
    with opened(folder, service_database_url=database, **ROTATED) as app:
        send(app, Event("new", DAY))
        with app.store.read() as reader:
            before = content(reader)
    moved.former.rename(folder / "dpdau.sqlite3")
    with pytest.raises(BackupError, match="holds another store already"):
        move(folder, database, hash_salt_secret=PRESENT)
    assert (folder / "dpdau.sqlite3").exists()
    with (
        opened(folder, service_database_url=database, **ROTATED) as app,
        app.store.read() as reader,
    ):
        assert content(reader) == before


def test_a_store_that_is_in_use_or_missing_or_has_another_secret_stays_where_it_is(
    folder: Path, database: str, tmp_path: Path
) -> None:
    with opened(folder, **ROTATED), pytest.raises(StoreInUseError):
        move(folder, database, hash_salt_secret=PRESENT)
    with pytest.raises(WrongSecretError):
        move(folder, database, hash_salt_secret="yet another secret of all")
    with pytest.raises(BackupError, match="no store to move"):
        move(tmp_path / "elsewhere", database)
    with opened(folder, **ROTATED) as app:
        app.verify()
    with (
        closing(open_store(settings(folder, service_database_url=database))) as store,
        store.read() as reader,
    ):
        assert reader.metas() == {}


def test_a_file_that_another_program_reads_stays_where_it_is(folder: Path, database: str) -> None:
    with closing(sqlite3.connect(folder / "dpdau.sqlite3")) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM meta").fetchone()
        with pytest.raises(StoreInUseError):
            move(folder, database, hash_salt_secret=PRESENT, store_busy_seconds=0.1)
    assert not move(folder, database, hash_salt_secret=PRESENT).is_resumed


def test_the_former_file_started_again_by_mistake_releases_nothing(
    folder: Path, database: str
) -> None:
    moved = move(folder, database, hash_salt_secret=PRESENT)
    with opened(folder, service_database_url=database, **ROTATED) as app:
        app.release(Metric.DAU, DAY, None)
        app.revise(Metric.DAU, DAY, None)
    shutil.copyfile(moved.former, folder / "dpdau.sqlite3")
    with opened(folder, **ROTATED) as app, pytest.raises(LedgerRolledBackError):
        app.revise(Metric.DAU, DAY, None)


def test_files_are_neither_made_of_a_database_nor_put_in_its_place(
    tmp_path: Path, database: str
) -> None:
    within = settings(tmp_path, service_database_url=database)
    with pytest.raises(BackupError, match="SERVICE_DATABASE_URL"):
        back_up(within)
    with pytest.raises(BackupError, match="SERVICE_DATABASE_URL"):
        restore(within, tmp_path / "some.sqlite3")
