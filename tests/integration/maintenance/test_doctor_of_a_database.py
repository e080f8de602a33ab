"""What the doctor says of a store in a database."""

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from dpdau.bootstrap import build
from dpdau.config import Settings, load_settings
from dpdau.maintenance.doctor import Finding, State, examine
from dpdau.model.releases import Metric
from support import FakeClock
from support.postgres import PostgresServer

CLOCK = FakeClock()
SECRET = "a secret of this database"


def configured(folder: Path, url: str, secret: str = SECRET) -> Settings:
    return load_settings(
        data_dir=folder, service_database_url=url, hash_salt_secret=secret, lateness_hours=0
    )


def examined(settings: Settings) -> dict[str, Finding]:
    return {finding.check: finding for finding in examine(settings, clock=CLOCK)}


@pytest.fixture
def sound(tmp_path: Path, database: str) -> Settings:
    settings = configured(tmp_path, database)
    with build(settings, clock=CLOCK) as app:
        app.release(Metric.DAU, CLOCK.now.date() - timedelta(days=1))
    return settings


def test_nothing_is_wrong_with_a_sound_one(sound: Settings) -> None:
    found = examined(sound)
    assert not [each for each in found.values() if each.state is State.PROBLEM]
    assert {found[check].state for check in ("store", "ledger", "rollback", "erasures")} == {
        State.OK
    }
    assert "traces of erased people" not in found
    assert "backups" not in found


def test_what_keeps_traces_of_erased_people_is_a_warning(
    sound: Settings, database_server: PostgresServer
) -> None:
    with psycopg.connect(database_server.url(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET wal_recycle = on")
        connection.execute("SELECT pg_reload_conf()")
    try:
        database_server.stop("fast")
        database_server.start()
        found = examined(sound)["traces of erased people"]
        assert (found.state, found.found.split(",")[0]) == (State.WARNING, "wal_recycle is on")
    finally:
        database_server.stop("fast")
        database_server.configure(wal_recycle="off")
        database_server.start()


def test_another_secret_and_a_server_that_is_away_are_problems(
    sound: Settings, tmp_path: Path, database: str, database_server: PostgresServer
) -> None:
    other = examined(configured(tmp_path, database, "another secret than that"))
    assert other["secret of the store"].state is State.PROBLEM
    nowhere = configured(tmp_path, database.replace(str(database_server.port), "1"))
    assert "does not answer" in examined(nowhere)["store"].found
    assert examined(sound)["store"].state is State.OK


def test_a_secret_file_that_is_missing_is_a_problem(tmp_path: Path, database: str) -> None:
    settings = load_settings(data_dir=tmp_path, service_database_url=database)
    with build(settings, clock=CLOCK):
        pass
    (tmp_path / "secret").unlink()
    assert examined(settings)["secret"].state is State.PROBLEM
