"""A database that cannot be used, and what is said of it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import psycopg
import pytest
from pyroaring import BitMap

from dpdau.errors import (
    CommitUnknownError,
    DatabaseAccessError,
    DatabaseUnfitError,
    DatabaseUnreachableError,
    SettingsError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreVersionError,
)
from dpdau.store.postgres import PostgresStore
from dpdau.store.postgres.connections import address_of, require_fit
from support.postgres import PostgresServer
from support.stores import DAY, ledger_row, pseudonyms


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def schema_of(url: str) -> str:
    return url.rpartition("%3D")[2]


def test_a_server_that_is_not_there_is_told_apart_from_one_that_refuses(
    database_server: PostgresServer,
) -> None:
    nowhere = database_server.url().replace(str(database_server.port), "1")
    with pytest.raises(DatabaseUnreachableError, match="does not answer"):
        PostgresStore(nowhere, busy_timeout_seconds=1)
    for url in (
        database_server.url(user="stranger"),
        database_server.url().replace("/postgres", "/no_such_database"),
    ):
        with pytest.raises(DatabaseAccessError, match="check user, password and rights"):
            PostgresStore(url)


def test_a_url_that_is_none_is_refused_without_being_shown() -> None:
    with pytest.raises(SettingsError, match="not shown") as told:
        PostgresStore("postgresql://me:hunter-hunter@host/name?no_such_parameter=1")
    assert "hunter" not in str(told.value)


def test_a_database_is_named_without_user_and_password() -> None:
    url = "postgresql://me:hunter-hunter@db.example.com:6000/counting?options=-csearch_path%3Dhush"
    assert address_of(url) == "the database counting on db.example.com:6000"
    assert address_of("postgresql://") == "the database of the user on this machine"


def test_a_wrong_password_is_told_and_never_shown(database_server: PostgresServer) -> None:
    execute(database_server.url(), "CREATE ROLE locked LOGIN PASSWORD 'the right one'")
    rules = database_server.data / "pg_hba.conf"
    former = rules.read_text()
    rules.write_text("host all locked 127.0.0.1/32 scram-sha-256\n" + former)
    execute(database_server.url(), "SELECT pg_reload_conf()")
    try:
        with pytest.raises(DatabaseAccessError) as told:
            PostgresStore(database_server.url(user="locked", password="hunter-hunter-2"))
    finally:
        rules.write_text(former)
        execute(database_server.url(), "SELECT pg_reload_conf()")
    assert "password authentication failed" in told.value.message
    assert "hunter" not in told.value.message


def test_processes_that_start_at_once_make_the_tables_once(database: str) -> None:
    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(lambda _: PostgresStore(database), range(6)))
    for each in opened:
        each.check()
        each.close()


def test_tables_of_another_program_are_left_alone(database: str) -> None:
    execute(database, "CREATE TABLE theirs (number integer)")
    with pytest.raises(DatabaseUnfitError, match="1 tables or views of another program"):
        PostgresStore(database)
    execute(database, "SELECT count(*) FROM theirs")


def test_a_newer_schema_is_refused_at_the_start_and_while_it_is_used(database: str) -> None:
    with PostgresStore(database) as store:
        execute(database, "UPDATE schema_version SET version = 99")
        with pytest.raises(StoreVersionError, match="schema version 99"):
            store.check()
        with pytest.raises(StoreVersionError), store.write():
            pytest.fail("it began")
    with pytest.raises(StoreVersionError, match="schema version 99"):
        PostgresStore(database)


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_forgets_in_a_crash_is_not_used(
    database: str, database_server: PostgresServer, setting: str
) -> None:
    execute(database_server.url(), f"ALTER SYSTEM SET {setting} = off")
    execute(database_server.url(), "SELECT pg_reload_conf()")
    try:
        until(lambda: shown(database_server, setting) == "off")
        with pytest.raises(DatabaseUnfitError, match=f"{setting} is off"):
            PostgresStore(database)
    finally:
        execute(database_server.url(), f"ALTER SYSTEM RESET {setting}")
        execute(database_server.url(), "SELECT pg_reload_conf()")


def test_a_server_that_is_too_old_is_not_used() -> None:
    class Old:
        class info:  # noqa: N801 - the driver's own name
            server_version = 120_003

    with pytest.raises(DatabaseUnfitError, match="version 12, and the oldest that fits is 13"):
        require_fit(cast("Any", Old()), "the database")


def test_commits_wait_for_the_disk_where_the_server_would_not(database: str) -> None:
    asynchronous = f"{database}%20-csynchronous_commit%3Doff"
    with PostgresStore(asynchronous) as store, store.write() as transaction:
        session = transaction._session  # noqa: SLF001 - what the connection is set to
        row = session.connection.execute("SHOW synchronous_commit").fetchone()
        assert row == ("on",)


def test_a_lock_that_does_not_go_in_time_is_told(database: str) -> None:
    one = PostgresStore(database, busy_timeout_seconds=0.2)
    other = PostgresStore(database, busy_timeout_seconds=0.2)
    with one.write():
        with pytest.raises(StoreBusyError), other.write():
            pytest.fail("two have the turn")
        with pytest.raises(StoreBusyError), other.write(shared=True):
            pytest.fail("two have the turn")
    with one.write(shared=True), other.write(shared=True) as transaction:
        transaction.allot_indices(pseudonyms(1))
    for each in (one, other):
        each.close()


def test_what_two_give_the_same_people_at_once_is_one_index_each(database: str) -> None:
    with PostgresStore(database) as store, PostgresStore(database) as other:
        waiting = threading.Event()
        found: list[list[int]] = []

        def second() -> None:
            with other.write(shared=True) as transaction:
                waiting.set()
                found.append(transaction.allot_indices(pseudonyms(3, 2, 9)).tolist())

        with store.write(shared=True) as transaction:
            first = transaction.allot_indices(pseudonyms(2, 3, 1)).tolist()
            thread = threading.Thread(target=second)
            thread.start()
            assert waiting.wait(10)
        thread.join(10)
        assert found[0][:2] == [first[1], first[0]]
        assert len({*first, *found[0]}) == 4


def test_a_change_waits_for_the_one_before_and_keeps_it(database: str) -> None:
    with PostgresStore(database) as store, PostgresStore(database) as other:
        with store.write() as transaction:
            transaction.update_members(DAY, BitMap([1]), BitMap())
        begun = threading.Event()

        def second() -> None:
            with other.write(shared=True) as transaction:
                begun.set()
                transaction.update_members(DAY, BitMap([3]), BitMap([2]))

        with store.write(shared=True) as transaction:
            transaction.update_members(DAY, BitMap([2, 4]), BitMap([1]))
            thread = threading.Thread(target=second)
            thread.start()
            assert begun.wait(10)
        thread.join(10)
        with store.read() as reader:
            assert reader.members(DAY, DAY) == BitMap([3, 4])


def test_the_ledger_cannot_be_changed_by_hand(database: str) -> None:
    with PostgresStore(database) as store:
        with store.write() as transaction:
            transaction.append_ledger(ledger_row(1))
        for statement in (
            "UPDATE ledger SET body = '{}'",
            "DELETE FROM ledger",
            "TRUNCATE ledger",
            "INSERT INTO ledger SELECT 7, 'k', 'm', 'p', 's', 'r', NULL, 'b', 'x', 'y'",
        ):
            with pytest.raises(psycopg.errors.RaiseException, match="ledger"):
                execute(database, statement)
        with store.read() as reader:
            assert reader.ledger() == [ledger_row(1)]


@pytest.mark.parametrize(
    ("damage", "read"),
    [
        (
            "UPDATE membership SET bitmap = 'not a bitmap at all'",
            lambda reader: reader.members(DAY, DAY),
        ),
        (
            "INSERT INTO series VALUES ('dau', 1, '2025-10', 'no state')",
            lambda reader: [reader.series_state(key) for key in reader.series_keys()],
        ),
    ],
)
def test_content_that_is_none_is_told(
    database: str, damage: str, read: Callable[[object], object]
) -> None:
    with PostgresStore(database) as store:
        with store.write() as transaction:
            transaction.update_members(DAY, BitMap([1]), BitMap())
        execute(database, damage)
        with store.read() as reader, pytest.raises(StoreCorruptError, match="damaged"):
            read(reader)


def test_a_broken_bitmap_is_found_and_its_day_named_before_it_is_changed(database: str) -> None:
    with PostgresStore(database) as store:
        with store.write() as transaction:
            transaction.update_members(DAY, BitMap([1]), BitMap())
        execute(database, "UPDATE membership SET bitmap = 'not a bitmap at all'")
        told = f"a bitmap of day {DAY} is broken"
        with pytest.raises(StoreCorruptError, match=told), store.write() as transaction:
            transaction.update_members(DAY, BitMap([2]), BitMap())


def test_an_error_of_any_other_kind_names_no_content(database: str) -> None:
    with PostgresStore(database) as store:
        execute(database, "DROP TABLE users")
        with pytest.raises(StoreError, match="does not exist") as told, store.read() as reader:
            reader.user_indices(pseudonyms(123_456_789))
        assert "123456789" not in told.value.message


@pytest.mark.parametrize(
    ("fault", "slug"), [("disk_full", "store-full"), ("data_corrupted", "store-corrupt")]
)
def test_a_full_or_damaged_disk_is_told_and_what_was_begun_is_undone(
    database: str, fault: str, slug: str
) -> None:
    with PostgresStore(database) as store:
        execute(
            database,
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION USING ERRCODE = '{fault}', MESSAGE = 'no room'; END $$",
        )
        execute(database, "CREATE TRIGGER fail BEFORE INSERT ON users EXECUTE FUNCTION fail()")
        with pytest.raises(StoreError) as told:
            put_some(store)
        assert told.value.slug == slug
        execute(database, "DROP TRIGGER fail ON users")
        with store.write() as transaction:
            assert transaction.user_indices(pseudonyms(1)).tolist() == [-1]
            assert transaction.meta("name") is None


def test_a_connection_that_breaks_while_it_commits_leaves_open_whether_it_did(
    database: str,
) -> None:
    with PostgresStore(database) as store:
        execute(
            database,
            "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$",
        )
        execute(
            database,
            "CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON users INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION cut()",
        )
        with pytest.raises(CommitUnknownError, match="Ask again"), store.write() as transaction:
            transaction.allot_indices(pseudonyms(1))
        execute(database, "DROP TRIGGER cut ON users")
        with store.write() as transaction:
            assert len(transaction.allot_indices(pseudonyms(1))) == 1


def test_a_commit_that_the_server_refuses_is_no_unknown_one(database: str) -> None:
    with PostgresStore(database) as store:
        execute(
            database,
            "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION USING ERRCODE = 'lock_not_available'; END $$",
        )
        execute(
            database,
            "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON users INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION late()",
        )
        with pytest.raises(StoreBusyError), store.write() as transaction:
            transaction.allot_indices(pseudonyms(1))


def put_some(store: PostgresStore) -> None:
    with store.write() as transaction:
        transaction.put_meta("name", "value")
        transaction.allot_indices(pseudonyms(1))


def shown(server: PostgresServer, setting: str) -> str:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute(f"SHOW {setting}".encode()).fetchone()
    return str(row[0]) if row else ""


def until(condition: Callable[[], bool]) -> None:
    """Look until it is so; a server takes a moment to read its settings again."""
    for _ in range(10_000):
        if condition():
            return
    pytest.fail("it never was")
