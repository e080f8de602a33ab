"""Who was erased is in no file of the server any more, its log included."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psycopg
import pytest
from pyroaring import BitMap

from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.errors import StoreBusyError
from dpdau.hashing import Pseudonymizer
from dpdau.store.postgres import PostgresStore
from support import Event, columns
from support.postgres import PostgresServer
from support.stores import DAY

from .child import SECRET, SETTINGS
from .test_processes import DAY as ACTIVE

# So few that no pseudonym stands a second time in an inner page of an index.
PEOPLE = 120


def held(server: PostgresServer) -> bytes:
    """All that the server has on disk, its log of changes and its messages included."""
    files = sorted(each for each in server.folder.rglob("*") if each.is_file())
    return b"".join(each.read_bytes() for each in files)


def stored(pseudonym: int) -> bytes:
    """As the database keeps it: eight bytes of this machine's order."""
    return pseudonym.to_bytes(8, "little")


@contextmanager
def reading(url: str) -> Iterator[None]:
    """Someone who has looked at the database, and may look again."""
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT count(*) FROM schema_version")
        yield


@pytest.mark.slow
def test_no_byte_of_an_erased_person_is_left_once_the_erasure_is_done(
    tmp_path: Path, database: str, database_server: PostgresServer
) -> None:
    user_ids = [f"user-{number}" for number in range(PEOPLE)]
    named = Pseudonymizer(SECRET).pseudonyms(user_ids)
    settings = load_settings(data_dir=tmp_path / "data", service_database_url=database, **SETTINGS)
    with build(settings) as app:
        for start in range(0, PEOPLE, 20):
            events = columns(Event(user, ACTIVE) for user in user_ids[start : start + 20])
            app.ingestor.apply(app.ingestor.pseudonymize(events))
        before = held(database_server)
        assert all(stored(pseudonym) in before for pseudonym in named[:20].tolist())
        leaving = user_ids[3::7]
        assert app.erase(leaving).state == "done"
        # Tombstones are needed, so that events from before are not taken in again.
        stones = Pseudonymizer(SECRET).pseudonyms(leaving)
        after = held(database_server)
        with app.store.read() as reader:
            assert (reader.user_indices(stones) < 0).all()
            kept = reader.pseudonyms_of(np.arange(PEOPLE))
        assert set(kept[kept > 0].tolist()) == set(named.tolist()) - set(stones.tolist())
    for pseudonym in stones.tolist():
        # Once in the tombstones' table and once in its index, and nowhere else.
        assert after.count(stored(pseudonym)) == 2
    assert all(stored(pseudonym) in after for pseudonym in kept[kept > 0][:20].tolist())


@pytest.mark.slow
def test_no_bitmap_of_an_erased_person_is_left_in_tables_or_log(
    database: str, database_server: PostgresServer
) -> None:
    store = PostgresStore(database)
    members = BitMap(np.random.default_rng(7).choice(60_000, 500, replace=False).astype(np.uint32))  # noqa: TID251 - made-up people
    gone = BitMap(list(members)[5::50])
    runs = [
        np.array(list(members)[at - 1 : at + 3], dtype="<u2").tobytes()
        for at in range(5, len(members) - 3, 50)
    ]
    with store.write() as transaction:
        transaction.update_members(DAY, members, BitMap())
    assert all(run in held(database_server) for run in runs)
    with store.write() as transaction:
        assert transaction.erase_members(gone) == len(gone)
    store.purge()
    after = held(database_server)
    assert not [run for run in runs if run in after]
    assert store.keeps_erased() == []
    store.close()


def test_a_purge_that_someone_may_still_look_behind_is_not_called_done(
    tmp_path: Path, database: str
) -> None:
    settings = load_settings(data_dir=tmp_path / "data", service_database_url=database, **SETTINGS)
    with build(settings) as app:
        app.ingestor.apply(app.ingestor.pseudonymize(columns([Event("ada", ACTIVE)])))
        with reading(database):
            assert app.erase(["ada"]).state == "received"
            with pytest.raises(StoreBusyError):
                app.store.purge()
        assert app.eraser.finish() == 0


def test_what_keeps_traces_longer_is_told(database: str, database_server: PostgresServer) -> None:
    store = PostgresStore(database)
    assert store.keeps_erased() == []
    with psycopg.connect(database_server.url(), autocommit=True) as connection:
        connection.execute("CREATE ROLE limited LOGIN")
        name = database.rpartition("%3D")[2]
        connection.execute(f"GRANT ALL ON SCHEMA {name} TO limited".encode())
        connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {name} TO limited".encode())
    limited = PostgresStore(database.replace("tests@", "limited@"))
    assert limited.keeps_erased() == [
        "this role may not call pg_switch_wal",
        "this role may not CHECKPOINT",
    ]
    for each in (store, limited):
        each.close()
