"""Files that are no store, or no longer a whole one."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from pyroaring import BitMap

from dpdau.errors import (
    LedgerDamagedError,
    StoreCorruptError,
    StoreError,
    StoreReadOnlyError,
    StoreVersionError,
)
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import SeriesState
from dpdau.store import SqliteStore
from dpdau.store.sqlite.statements import migrations
from support.stores import DAY, ledger_row, pseudonyms, tombstones

OVERWRITE = """
UPDATE cells SET content = ? WHERE cell IN (SELECT cell FROM shards WHERE day = ?)
"""
PAGE_BYTES = 4096


@pytest.fixture(autouse=True)
def directory(path: Path) -> None:
    path.parent.mkdir()


def a_store_with_content(path: Path) -> None:
    store = SqliteStore(path)
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(10, 20))
        transaction.put_tombstones(tombstones((30, DAY, DAY, 7)))
        for day in range(40):
            transaction.update_members(DAY + day, BitMap(range(0, 60_000, 3)), BitMap())
        transaction.append_ledger(ledger_row(1))
    store.close()


def change(path: Path, script: str) -> None:
    """Change a file behind the store's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(script)


def write_garbage(path: Path) -> None:
    path.write_bytes(b"This is a letter to a friend. " * 500)


def write_short_garbage(path: Path) -> None:
    path.write_bytes(b"garbage")


def truncate_to_half(path: Path) -> None:
    a_store_with_content(path)
    pages = path.stat().st_size // PAGE_BYTES
    with path.open("r+b") as file:
        file.truncate(pages // 2 * PAGE_BYTES)


def truncate_inside_the_first_page(path: Path) -> None:
    a_store_with_content(path)
    with path.open("r+b") as file:
        file.truncate(1000)


def overwrite_the_header(path: Path) -> None:
    a_store_with_content(path)
    with path.open("r+b") as file:
        file.write(b"\xff" * 100)


def overwrite_the_schema(path: Path) -> None:
    a_store_with_content(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (PAGE_BYTES - 100))


def write_another_program(path: Path) -> None:
    change(path, "CREATE TABLE orders (id INTEGER); INSERT INTO orders VALUES (1);")


def write_another_marked_program(path: Path) -> None:
    write_another_program(path)
    change(path, "PRAGMA application_id = 252006674; PRAGMA journal_mode = WAL;")


DAMAGE: dict[str, Callable[[Path], None]] = {
    "garbage": write_garbage,
    "short garbage": write_short_garbage,
    "half of a store": truncate_to_half,
    "a piece of a page": truncate_inside_the_first_page,
    "a broken header": overwrite_the_header,
    "a broken schema": overwrite_the_schema,
    "another program's": write_another_program,
    "another program's with a mark": write_another_marked_program,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_is_no_whole_store_is_refused_and_not_touched(path: Path, damage: str) -> None:
    DAMAGE[damage](path)
    before = path.read_bytes()
    with pytest.raises(StoreCorruptError, match=r"dpdau\.sqlite3 is damaged or is not a dpdau"):
        SqliteStore(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_another_program_is_named_as_the_reason(path: Path) -> None:
    write_another_program(path)
    with pytest.raises(StoreCorruptError, match="it belongs to another program"):
        SqliteStore(path)


@pytest.mark.parametrize("journal_mode", ["WAL", "DELETE"])
def test_what_another_program_left_behind_in_a_crash_is_not_touched(
    path: Path, tmp_path: Path, journal_mode: str
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    with closing(sqlite3.connect(theirs / path.name, isolation_level=None)) as connection:
        connection.executescript(f"PRAGMA journal_mode = {journal_mode}; PRAGMA cache_size = 1;")
        connection.execute("CREATE TABLE orders (id INTEGER, note TEXT)")
        connection.execute("BEGIN")
        notes = [(number, "note" * 200) for number in range(100)]
        connection.executemany("INSERT INTO orders VALUES (?, ?)", notes)
        for file in theirs.iterdir():
            if not file.name.endswith("-shm"):
                shutil.copy(file, path.parent)
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    assert len(before) == 2
    with pytest.raises(StoreCorruptError):
        SqliteStore(path)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


def test_a_store_of_a_newer_version_is_refused_and_not_changed(path: Path) -> None:
    a_store_with_content(path)
    newer = migrations()[-1].version + 1
    change(path, f"PRAGMA user_version = {newer}; CREATE TABLE novelty (id INTEGER);")
    before = path.read_bytes()
    with pytest.raises(StoreVersionError, match=f"version {newer}, this program knows up to"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    store = SqliteStore(path)
    store.check()
    store.close()


def test_a_directory_in_place_of_the_file_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreCorruptError, match="it is a directory"):
        SqliteStore(path)


@pytest.mark.parametrize("below", ["store.sqlite3", "deeper/store.sqlite3"])
def test_a_path_below_a_file_is_refused(path: Path, below: str) -> None:
    path.write_text("a file")
    with pytest.raises(StoreReadOnlyError):
        SqliteStore(path / below)


def test_a_crash_while_the_log_was_copied_back_loses_nothing(path: Path, tmp_path: Path) -> None:
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    store = SqliteStore(path)
    with store.write() as transaction:
        transaction.update_members(DAY, BitMap(range(0, 900_000, 2)), BitMap())
        transaction.append_ledger(ledger_row(1))
    for file in path.parent.iterdir():
        shutil.copy(file, crashed)
    store.close()
    # The first page already counts pages that only the log has.
    with path.open("rb") as copied_back, (crashed / path.name).open("r+b") as half_way:
        half_way.write(copied_back.read(PAGE_BYTES))
    assert (crashed / path.name).stat().st_size < path.stat().st_size

    recovered = SqliteStore(crashed / path.name)
    with recovered.read() as reader:
        assert reader.members(DAY, DAY) == BitMap(range(0, 900_000, 2))
        assert reader.ledger() == [ledger_row(1)]
    recovered.close()


def change_meta_and_members(store: SqliteStore) -> None:
    with store.write() as transaction:
        transaction.put_meta("name", "undone")
        transaction.update_members(DAY, BitMap(range(2_000)), BitMap())


def test_a_broken_page_is_told_when_it_is_read_and_the_rest_stays_usable(path: Path) -> None:
    a_store_with_content(path)
    with closing(sqlite3.connect(path)) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'shards'"
        ).fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * PAGE_BYTES)
        file.write(b"\xff" * PAGE_BYTES)
    store = SqliteStore(path)
    with pytest.raises(StoreCorruptError), store.read() as reader:
        reader.members(DAY, DAY)
    with pytest.raises(StoreCorruptError):
        change_meta_and_members(store)
    with store.write() as transaction:
        assert transaction.meta("name") is None
        transaction.put_meta("name", "value")
    store.close()


@pytest.mark.parametrize("blob", [b"", b"\0", bytes.fromhex("3a300000010000000000020010000000")])
def test_a_broken_bitmap_is_told_with_its_day(path: Path, blob: bytes) -> None:
    a_store_with_content(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(OVERWRITE, (len(blob).to_bytes(4, "little") + blob, DAY))
    store = SqliteStore(path)
    with store.read() as reader:
        with pytest.raises(StoreCorruptError, match=f"a bitmap of day {DAY} is broken"):
            reader.members(DAY, DAY + 1)
        assert len(reader.members(DAY + 1, DAY + 1)) == 20_000
    store.close()


def test_a_cell_that_claims_more_than_it_has_is_told(path: Path) -> None:
    a_store_with_content(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(OVERWRITE, (b"\xff\xff\0\0bits", DAY))
    store = SqliteStore(path)
    with store.read() as reader, pytest.raises(StoreCorruptError, match="a cell of 8 bytes claims"):
        reader.members(DAY, DAY)
    store.close()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"1234567", "a delta holds 7 bytes"),
        (bytes(16), "a delta is not in order"),
        (b"\2" + bytes(7) + b"\3" + bytes(7), "a delta is not in order"),
        (bytes(7) + b"\x80", "a delta is not in order"),
    ],
)
def test_a_broken_delta_is_told(path: Path, content: bytes, reason: str) -> None:
    store = SqliteStore(path)
    with store.write() as transaction:
        transaction.update_members(DAY, BitMap([1]), BitMap())
    store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE cells SET content = ? WHERE cell IN (SELECT cell FROM deltas)",
            (len(content).to_bytes(4, "little") + content,),
        )
    store = SqliteStore(path)
    with store.read() as reader, pytest.raises(StoreCorruptError, match=reason):
        reader.members(DAY, DAY)
    store.close()


@pytest.mark.parametrize("kind", ["users", "tombstones"])
def test_a_page_of_another_size_is_told(path: Path, kind: str) -> None:
    a_store_with_content(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            "UPDATE cells SET content = x'03000000616263' "
            "WHERE cell IN (SELECT cell FROM pages WHERE kind = ?)",
            (kind,),
        )
    store = SqliteStore(path)
    with pytest.raises(StoreCorruptError, match=f"a page of {kind} holds 3 bytes"):
        store.warm()
    store.close()


def test_the_state_of_a_series_that_cannot_be_read_is_told(path: Path) -> None:
    store = SqliteStore(path)
    key = SeriesKey(Metric.MAU, 30, "2025-10")
    with store.write() as transaction:
        transaction.put_series_state(key, SeriesState((1,), None))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE cells SET content = zeroblob(8)")
    with store.read() as reader, pytest.raises(StoreCorruptError, match="the state of"):
        reader.series_state(key)
    store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET body = '{'",
        "UPDATE ledger SET body = '[]'",
        "UPDATE ledger SET charge = 'x'",
        "UPDATE ledger SET kind = 'unknown'",
    ],
)
def test_a_broken_ledger_row_is_told_with_its_number(path: Path, statement: str) -> None:
    a_store_with_content(path)
    change(path, f"DROP TRIGGER ledger_is_never_changed; {statement};")
    store = SqliteStore(path)
    with (
        store.read() as reader,
        pytest.raises(LedgerDamagedError, match="row 1: it cannot be read"),
    ):
        reader.ledger()
    store.close()


def test_a_file_that_is_removed_while_in_use_is_told_before_anything_is_lost(path: Path) -> None:
    store = SqliteStore(path)
    path.unlink()
    for use in (store.read, store.write):
        with pytest.raises(StoreCorruptError, match="removed or replaced"), use():
            pytest.fail("it opened")
    with pytest.raises(StoreError):
        store.check()
    with pytest.raises(StoreError):
        store.purge()
    store.close()


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_a_file_beside_it_that_is_removed_while_in_use_is_told(path: Path, suffix: str) -> None:
    store = SqliteStore(path)
    a_commit = pytest.raises(StoreCorruptError, match=f"sqlite3{suffix} .* removed or replaced")
    path.with_name(f"{path.name}{suffix}").unlink()
    with a_commit, store.write():
        pytest.fail("it opened")
    store.close()


def test_a_file_that_is_replaced_while_in_use_is_told(path: Path, tmp_path: Path) -> None:
    store = SqliteStore(path)
    backup = tmp_path / "backup.sqlite3"
    shutil.copy(path, backup)
    backup.replace(path)
    with pytest.raises(StoreCorruptError, match="removed or replaced"):
        store.check()
    store.close()
