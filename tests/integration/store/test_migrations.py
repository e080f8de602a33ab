"""A store of every earlier version of the schema is brought up to date, whole or not at all."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.errors import StoreError
from dpdau.hashing import Pseudonymizer
from dpdau.model.ledger import GENESIS_HASH
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import SeriesState
from dpdau.privacy.flippancy import LimiterState
from dpdau.store import SqliteStore
from dpdau.store.sqlite.connections import APPLICATION_ID
from dpdau.store.sqlite.statements import migrations
from support.stores import DAY, NOW, erasure, ledger_row, tombstones, tombstones_as_rows

USERS = 6_000
NEXT_INDEX = 70_003
ROTATING = SeriesKey(Metric.MAU, 30, "2025-10")
UNLIMITED = SeriesKey(Metric.DAU, 1, "2025-10")
LIMITER = LimiterState.empty(2).advance(BitMap(range(0, USERS, 3))).state.to_bytes()


def pseudonyms_of(*numbers: int) -> NDArray[np.uint64]:
    return Pseudonymizer("the secret of a store of old").pseudonyms([f"user-{n}" for n in numbers])


# One beyond the first shard, as after many people were forgotten.
INDICES = np.array([*range(USERS - 1), NEXT_INDEX - 1], dtype=np.int64)
PSEUDONYMS = pseudonyms_of(*range(USERS))
STONES = tombstones(
    (int(pseudonyms_of(-1)[0]), DAY, DAY + 1, 7_001),
    (int(pseudonyms_of(-2)[0]), DAY - 3, DAY, -1),
    (int(pseudonyms_of(-3)[0]), DAY - 3, DAY, 7_003),
)
DAYS = {
    DAY: BitMap(INDICES[::3]),
    DAY + 1: BitMap(INDICES[::2]),
    DAY + 2: BitMap([3, NEXT_INDEX - 1]),
}
ERASURES = [erasure("done", completed=True), erasure("waiting", minutes=5)]
LEDGER = [ledger_row(1)]
LEDGER.append(ledger_row(2, previous_hash=LEDGER[0].hash))


def signed(pseudonyms: NDArray[np.uint64]) -> list[int]:
    """As the first version kept them: the signed integers of the same bits."""
    numbers: list[int] = pseudonyms.view(np.int64).tolist()
    return numbers


def of_version_1(path: Path) -> None:
    """A store as the first version of the schema laid it out."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        run, many = connection.execute, connection.executemany
        run(f"PRAGMA application_id = {APPLICATION_ID}")
        run("PRAGMA journal_mode = WAL")
        run("BEGIN")
        for statement in migrations()[0].statements:
            run(statement)
        users = zip(signed(PSEUDONYMS), INDICES.tolist(), strict=True)
        many("INSERT INTO users VALUES (?, ?)", users)
        run("UPDATE counters SET value = ?", (NEXT_INDEX,))
        many(
            "INSERT INTO membership VALUES (?, ?, ?)",
            [
                (day, shard, part.serialize())
                for day, members in DAYS.items()
                for shard in (0, 1)
                if (part := members & BitMap(range(shard << 16, (shard + 1) << 16)))
            ],
        )
        many(
            "INSERT INTO tombstones VALUES (?, ?, ?, ?)",
            [
                (*signed(np.array([p], np.uint64)), erased, recorded, None if i < 0 else i)
                for p, erased, recorded, i in tombstones_as_rows(STONES)
            ],
        )
        many(
            "INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(row.sequence, row.kind, row.metric, row.period, row.subject),
                    row.recorded_at.isoformat().replace("+00:00", "Z"),
                    *(json.dumps(row.charge), json.dumps(row.body), row.previous_hash, row.hash),
                )
                for row in LEDGER
            ],
        )
        run("INSERT INTO series_state VALUES ('mau', 30, '2025-10', '[5, 6]', ?)", (LIMITER,))
        run("INSERT INTO series_state VALUES ('dau', 1, '2025-10', '[3]', NULL)")
        at = NOW.isoformat().replace("+00:00", "Z")
        later = ERASURES[1].requested_at.isoformat().replace("+00:00", "Z")
        run("INSERT INTO erasures VALUES ('done', ?, ?, 2, 5)", (at, at))
        run("INSERT INTO erasures VALUES ('waiting', ?, NULL, 2, 5)", (later,))
        run("INSERT INTO meta VALUES ('key_check_value', 'abc')")
        run("PRAGMA user_version = 1")
        run("COMMIT")


@pytest.fixture
def old(path: Path) -> Path:
    of_version_1(path)
    return path


@pytest.fixture
def store(old: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(old)
    yield opened
    opened.close()


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [*connection.iterdump(), *map(str, connection.execute("PRAGMA user_version"))]


def test_nothing_of_a_store_of_version_1_is_lost(store: SqliteStore) -> None:
    with store.read() as reader:
        assert reader.user_indices(PSEUDONYMS).tolist() == INDICES.tolist()
        assert reader.pseudonyms_of(INDICES).tolist() == PSEUDONYMS.tolist()
        assert reader.known_users() == BitMap(INDICES)
        assert reader.index_bound() == NEXT_INDEX
        assert {day: reader.members(day, day) for day in DAYS} == DAYS
        assert tombstones_as_rows(reader.tombstones()) == tombstones_as_rows(STONES)
        assert reader.ledger() == LEDGER
        assert reader.ledger()[0].previous_hash == GENESIS_HASH
        assert reader.series_keys() == [UNLIMITED, ROTATING]
        assert reader.series_state(ROTATING) == SeriesState((5, 6), LIMITER)
        assert reader.series_state(UNLIMITED) == SeriesState((3,), None)
        assert reader.erasures() == ERASURES
        assert reader.unfinished_erasures() == ERASURES[1:]
        assert reader.meta("key_check_value") == "abc"


def test_a_store_of_version_1_goes_on_after_it_was_brought_up_to_date(store: SqliteStore) -> None:
    with store.write() as transaction:
        returning, new = pseudonyms_of(-1), pseudonyms_of(USERS)
        assert transaction.allot_indices(returning).tolist() == [7_001]
        assert transaction.allot_indices(new).tolist() == [NEXT_INDEX]
        transaction.put_tombstones(tombstones((int(pseudonyms_of(5)[0]), DAY, DAY, 5)))
        transaction.erase_members(BitMap([3]))
        transaction.forget_users(pseudonyms_of(3))
        transaction.append_ledger(ledger_row(3, previous_hash=LEDGER[-1].hash))
        transaction.drop_series_state(ROTATING)
    with store.read() as reader:
        assert reader.members(DAY + 2, DAY + 2) == BitMap([NEXT_INDEX - 1])
        assert reader.user_indices(pseudonyms_of(3, 4, USERS)).tolist() == [-1, 4, NEXT_INDEX]
        assert len(reader.tombstones()) == 4
        assert reader.series_keys() == [UNLIMITED]


def test_another_process_notices_what_changes_after_a_migration(store: SqliteStore) -> None:
    other = SqliteStore(store._path)  # noqa: SLF001 - the same file
    with other.read() as reader:
        assert reader.user_indices(pseudonyms_of(3)).tolist() == [3]
    with store.write() as transaction:
        transaction.forget_users(pseudonyms_of(3))
    with other.read() as reader:
        assert reader.user_indices(pseudonyms_of(3)).tolist() == [-1]
    other.close()


def test_an_empty_store_of_version_1_is_brought_up_to_date(path: Path) -> None:
    of_version_1(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table in ("users", "membership", "tombstones", "series_state", "erasures"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names of this file
    store = SqliteStore(path)
    with store.read() as reader:
        assert len(reader.known_users()) == len(reader.tombstones()) == 0
        assert reader.series_keys() == []
    store.close()


def test_no_byte_of_the_former_layout_is_left(old: Path) -> None:
    def held(pseudonym: int) -> bool:
        former = pseudonym.to_bytes(8, "big")
        return any(former in file.read_bytes() for file in old.parent.iterdir())

    some = PSEUDONYMS[:50].tolist()
    assert sum(map(held, some)) > 45
    SqliteStore(old).close()
    assert not any(map(held, some))
    with closing(sqlite3.connect(old)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert not tables & {"users", "tombstones", "membership", "series_state", "former_erasures"}


def test_a_migration_that_fails_half_way_leaves_the_former_version(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dump(old)

    def fail(*_: Any) -> None:
        raise sqlite3.OperationalError("out of luck")

    monkeypatch.setattr("dpdau.store.sqlite.conversions.Shards.write", fail)
    with pytest.raises(StoreError, match="out of luck"):
        SqliteStore(old)
    assert dump(old) == before
    monkeypatch.undo()
    SqliteStore(old).close()


@pytest.mark.parametrize("step", ["conversions.Shards.write", "conversions.Cells.put"])
def test_a_migration_that_dies_half_way_leaves_the_former_version(old: Path, step: str) -> None:
    before = dump(old)
    victim = (
        "import os, sys; from pathlib import Path; from unittest.mock import patch\n"
        "from dpdau.store import SqliteStore\n"
        f"with patch('dpdau.store.sqlite.{step}', lambda *_: os._exit(9)):\n"
        "    SqliteStore(Path(sys.argv[1]))"
    )
    died = subprocess.run(  # noqa: S603 - this interpreter on this file's own text
        [sys.executable, "-c", victim, str(old)], check=False, timeout=60
    )
    assert died.returncode == 9
    assert dump(old) == before
    store = SqliteStore(old)
    with store.read() as reader:
        assert {day: reader.members(day, day) for day in DAYS} == DAYS
    store.close()
