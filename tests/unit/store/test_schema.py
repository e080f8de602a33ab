"""The file that SQLite keeps: its tables, its guards and its access rights."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pyroaring import BitMap

from dpdau.errors import StoreError
from dpdau.store import SqliteStore
from dpdau.store.sqlite.connections import APPLICATION_ID, connect
from dpdau.store.sqlite.statements import Migration, migrations
from support.stores import DAY, ledger_row

REST = "recorded_at, charge, body, previous_hash, hash FROM ledger"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "data" / "dpdau.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


@pytest.fixture
def connection(store: SqliteStore, path: Path) -> Iterator[sqlite3.Connection]:
    with store.write() as transaction:
        transaction.append_ledger(ledger_row(1, subject="first"))
    with closing(connect(path, 0)) as opened:
        yield opened


def test_the_file_bears_the_mark_and_the_version(connection: sqlite3.Connection) -> None:
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("PRAGMA user_version").fetchone() == (migrations()[-1].version,)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 3),
        ("secure_delete", 1),
        ("foreign_keys", 1),
    ],
)
def test_connections_are_durable_and_forgetful(
    connection: sqlite3.Connection, setting: str, value: object
) -> None:
    assert connection.execute(f"PRAGMA {setting}").fetchone() == (value,)


def test_only_the_owner_may_read_any_file_of_the_store(store: SqliteStore, path: Path) -> None:
    with store.write() as transaction:
        transaction.put_meta("name", "value")
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {
        "dpdau.sqlite3": 0o600,
        "dpdau.sqlite3-shm": 0o600,
        "dpdau.sqlite3-wal": 0o600,
    }


def test_every_table_is_strict(connection: sqlite3.Connection) -> None:
    tables = connection.execute(
        "SELECT name, strict FROM pragma_table_list "
        "WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite%'"
    ).fetchall()
    assert len(tables) == 10
    assert all(strict for _, strict in tables)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET body = '{}'",
        "DELETE FROM ledger",
        "INSERT OR REPLACE INTO ledger SELECT * FROM ledger",
        f"INSERT OR REPLACE INTO ledger SELECT 2, kind, metric, period, subject, {REST}",
        f"INSERT INTO ledger SELECT 3, kind, metric, period, 'other', {REST}",
    ],
)
def test_the_file_itself_refuses_to_change_or_skip_ledger_rows(
    connection: sqlite3.Connection, statement: str
) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="the ledger is append-only"):
        connection.execute(statement)
    assert connection.execute("SELECT sequence, subject FROM ledger").fetchall() == [(1, "first")]


@pytest.mark.usefixtures("merging_at_once")
def test_membership_is_kept_in_one_bitmap_a_day_and_shard(
    store: SqliteStore, connection: sqlite3.Connection
) -> None:
    with store.write() as transaction:
        transaction.update_members(DAY, BitMap([1, 65_535, 65_536, 200_000]), BitMap())
    with store.write() as transaction:
        transaction.update_members(DAY, BitMap([2]), BitMap([65_536]))
    rows = connection.execute(
        "SELECT day, shard, content FROM shards JOIN cells USING (cell)"
    ).fetchall()
    kept = {(day, shard): set(BitMap.deserialize(cell[4:])) for day, shard, cell in rows}
    assert kept == {(DAY, 0): {1, 2, 65_535}, (DAY, 1): set(), (DAY, 3): {200_000}}


@pytest.mark.usefixtures("merging_at_once")
def test_a_repeated_update_writes_nothing(store: SqliteStore, path: Path) -> None:
    def update() -> None:
        with store.write() as transaction:
            transaction.update_members(DAY, BitMap([1, 2]), BitMap([3]))

    update()
    size = path.with_name("dpdau.sqlite3-wal").stat().st_size
    update()
    assert path.with_name("dpdau.sqlite3-wal").stat().st_size == size


@pytest.mark.usefixtures("merging_at_once")
def test_a_shard_that_does_not_change_is_not_written(
    store: SqliteStore, connection: sqlite3.Connection
) -> None:
    def update(user: int) -> None:
        with store.write() as transaction:
            transaction.update_members(DAY, BitMap([user, 65_536]), BitMap([3]))

    update(1)
    connection.execute("UPDATE cells SET content = zeroblob(68) WHERE cell = 2")
    connection.commit()
    update(2)
    written = connection.execute("SELECT cell FROM cells WHERE content <> zeroblob(68)").fetchall()
    assert written == [(1,)]


def test_an_older_schema_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = SqliteStore(path)
    with older.write() as transaction:
        transaction.put_meta("name", "kept")
    older.close()
    next_version = migrations()[-1].version + 1
    step = Migration(next_version, ("ALTER TABLE meta ADD COLUMN note TEXT;",))
    steps = (*migrations(), step)
    monkeypatch.setattr("dpdau.store.sqlite.connections.migrations", lambda: steps)
    newer = SqliteStore(path)
    with newer.read() as reader:
        assert reader.meta("name") == "kept"
    newer.close()
    with closing(connect(path, 0)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (next_version,)
        assert connection.execute("SELECT note FROM meta").fetchall() == [(None,)]


def test_a_failed_step_of_the_schema_leaves_the_former_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SqliteStore(path).close()
    known = migrations()
    version = known[-1].version
    broken = ("CREATE TABLE half (done INTEGER) STRICT;", "INSERT INTO nowhere VALUES (1);")
    steps = (*known, Migration(version + 1, broken))
    monkeypatch.setattr("dpdau.store.sqlite.connections.migrations", lambda: steps)
    with pytest.raises(StoreError, match="no such table: nowhere"):
        SqliteStore(path)
    with closing(connect(path, 0)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (version,)
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE name = 'half'")
        assert tables.fetchall() == []
