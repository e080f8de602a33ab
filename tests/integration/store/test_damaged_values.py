"""Whatever stands in the place of a value: what was asked for, or an error that says what is broken."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap

from dpdau.errors import DpdauError, StoreCorruptError
from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import Reader, SeriesState
from dpdau.pipeline.rotation import Rotation
from dpdau.store import SqliteStore
from support.stores import DAY, erasure, ledger_row, pseudonyms, tombstones

SERIES = SeriesKey(Metric.MAU, 30, "2025-10")
STRANGE: dict[str, list[Any]] = {
    "TEXT": ["", "{", '{"a": 1}', "[" * 5_000, "9" * 400, "é\0"],
    "INTEGER": [-(2**63), -1, 0, 2**31, 2**63 - 1],
    "BLOB": [b"", b"\0", b"\xff" * 64, b"\4\0\0\0\xff\xff\xff\xff", b"\0" * 300],
}
QUESTIONS: list[Callable[[Reader], Any]] = [
    lambda reader: reader.user_indices(pseudonyms(10, 20, 99)),
    lambda reader: reader.known_users(),
    lambda reader: reader.index_bound(),
    lambda reader: reader.tombstones(),
    lambda reader: reader.tombstones(pseudonyms(30)),
    lambda reader: reader.members(DAY, DAY + 3),
    lambda reader: reader.members(DAY, DAY + 3, among=BitMap([1, 70_000])),
    lambda reader: reader.ledger(),
    lambda reader: reader.ledger(metric=Metric.DAU, period="2025-10"),
    lambda reader: reader.ledger_row(LedgerKind.RELEASE, "subject-1"),
    lambda reader: reader.ledger_head(),
    lambda reader: reader.series_state(SERIES),
    lambda reader: reader.series_keys(),
    lambda reader: reader.erasure("one"),
    lambda reader: reader.erasures(),
    lambda reader: reader.newest_erasures(5),
    lambda reader: reader.unfinished_erasures(),
    Rotation.of,
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "dpdau.sqlite3"
    store = SqliteStore(path)
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(10, 20))
        transaction.put_tombstones(tombstones((30, DAY, DAY, 7)))
        for day in range(3):
            transaction.update_members(DAY + day, BitMap([0, 1, 70_000]), BitMap())
        transaction.append_ledger(ledger_row(1))
        transaction.put_series_state(SERIES, SeriesState((1, 2), None))
        transaction.put_erasure(erasure("one"))
        Rotation("a check", date.fromordinal(DAY), 1, {DAY: 1}).keep(transaction)
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return path


def places(path: Path) -> list[tuple[str, str, str]]:
    """Every column of every table, with its type."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return [
            (table, column, kind)
            for (table,) in tables.fetchall()
            for _, column, kind, *_ in connection.execute(f"PRAGMA table_info({table})")
        ]


def changed(whole: Path, table: str, column: str, value: Any) -> Path:
    """A copy of the store in which all rows that can have it have this value."""
    path = whole.with_name("changed.sqlite3")
    for leftover in path.parent.glob(f"{path.name}*"):
        leftover.unlink()
    shutil.copyfile(whole, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER ledger_is_never_changed")
        connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (value,))  # noqa: S608
    return path


def ask_everything(path: Path) -> None:
    with suppress(DpdauError), closing(SqliteStore(path)) as store:
        for question in QUESTIONS:
            with suppress(DpdauError), store.read() as reader:
                question(reader)


def test_every_question_is_answered_by_a_whole_store(whole: Path) -> None:
    with closing(SqliteStore(whole)) as store, store.read() as reader:
        for question in QUESTIONS:
            assert question(reader) is not None
    assert {table for table, _, _ in places(whole)} >= {"cells", "erasures", "ledger", "meta"}


def test_a_strange_value_in_any_place_is_read_or_named(whole: Path) -> None:
    for table, column, kind in places(whole):
        for value in STRANGE[kind]:
            ask_everything(changed(whole, table, column, value))


@pytest.mark.parametrize(
    ("table", "column", "value", "reason"),
    [
        ("counters", "name", "none", "a counter is missing"),
        ("ledger", "body", "[" * 5_000, "cannot be read"),
        ("meta", "value", "{", "keeps of its rotation is damaged"),
        ("pages", "page", 2**31, "a page of tombstones has the number 2147483648"),
        ("pages", "page", -1, "a page of tombstones has the number -1"),
        ("series", "metric", "wau", "a series is of no metric"),
        ("erasures", "body", "[]", "the record of an erasure cannot be read"),
    ],
)
def test_a_value_that_cannot_be_is_named(
    whole: Path, table: str, column: str, value: Any, reason: str
) -> None:
    asked = []
    with closing(SqliteStore(changed(whole, table, column, value))) as store:
        for question in QUESTIONS:
            try:
                with store.read() as reader:
                    question(reader)
            except DpdauError as error:
                asked.append(error.message)
    assert any(reason in message for message in asked), asked


def test_a_store_that_lost_the_counter_of_its_users_takes_nobody(whole: Path) -> None:
    path = changed(whole, "counters", "value", 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM counters WHERE name = 'next_user_index'")
    with (
        closing(SqliteStore(path)) as store,
        pytest.raises(StoreCorruptError, match="a counter is missing"),
        store.write() as transaction,
    ):
        transaction.allot_indices(pseudonyms(99))
