"""Locks that others hold, pages that are broken, and secrets and logs that are gone."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from _process import Installation
from support.installations import TODAY, YESTERDAY, Visitor, installed, told, visited

PAGE_BYTES = 4096
FREE = TODAY.replace(day=3)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return installed(tmp_path)


def database(installation: Installation) -> Path:
    return installation.data_dir / "dpdau.sqlite3"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of writers, as another program would."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_lock_that_is_held_for_ever_holds_nobody_up_for_ever(installation: Installation) -> None:
    with visited(installation, STORE_BUSY_SECONDS="0.3") as (running, visitor):
        visitor.send("ada")
        assert visitor.dau().json()["estimate"] == 1
        with locked(database(installation)), ThreadPoolExecutor(24) as threads:
            asked = [threads.submit(visitor.send, f"user-{number}") for number in range(12)]
            asked += [threads.submit(visitor.erase, f"user-{number}") for number in range(12)]
            for answer in (each.result() for each in asked):
                assert "STORE_BUSY_SECONDS" in told(answer, 503, "store-busy")
                assert answer.headers["retry-after"] == "2"
            told(visitor.dau(FREE), 503, "store-busy")
            assert visitor.dau().json()["estimate"] == 1
            assert visitor.get("/readyz").status_code == 200
        assert visitor.send("bob", day=FREE).status_code == 200
        assert visitor.dau(FREE).json()["estimate"] == 1
        assert running.stop() == 0


def test_a_lock_that_is_held_for_a_moment_is_waited_for(installation: Installation) -> None:
    with visited(installation) as (_, visitor):
        visitor.send("ada")
        free = threading.Event()

        def hold() -> None:
            with locked(database(installation)):
                held.set()
                free.wait(60)

        held = threading.Event()
        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(60)
        with ThreadPoolExecutor(1) as threads:
            asked = threads.submit(visitor.send, "bob")
            threading.Timer(0.5, free.set).start()
            assert asked.result().status_code == 200
        holder.join()
        assert visitor.dau().json()["estimate"] == 2


def break_page(installation: Installation, table: str) -> None:
    """Overwrite the root of a table with what SQLite cannot have written."""
    path = database(installation)
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (root,) = connection.execute(query, (table,)).fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * PAGE_BYTES)
        file.write(b"\xff" * PAGE_BYTES)


def corrupt(answer: object) -> None:
    assert "nothing was changed" in told(answer, 503, "store-corrupt")  # type: ignore[arg-type]


def is_known(visitor: Visitor) -> None:
    assert visitor.dau().json()["estimate"] == 2


def is_taken(visitor: Visitor) -> None:
    assert visitor.send("new").status_code == 200


PARTS: dict[str, tuple[list[Callable[[Visitor], object]], list[Callable[[Visitor], object]]]] = {
    "pages": ([lambda of: of.send("new"), lambda of: of.erase("ada")], [is_known]),
    "shards": ([lambda of: of.dau(FREE)], [is_known, is_taken]),
    "deltas": ([lambda of: of.send("new"), lambda of: of.dau(FREE)], [is_known]),
    "ledger": (
        [Visitor.dau, lambda of: of.get("/readyz"), lambda of: of.get("/ledger")],
        [is_taken],
    ),
}


@pytest.mark.parametrize("table", PARTS)
def test_a_broken_page_is_told_by_what_needs_it_and_all_else_goes_on(
    installation: Installation, table: str
) -> None:
    broken, whole = PARTS[table]
    with visited(installation) as (running, visitor):
        visitor.send("ada", "bob", "eve")
        visitor.send("ada", day=FREE)
        visitor.erase("eve")
        is_known(visitor)
        assert running.stop() == 0
    break_page(installation, table)
    with visited(installation) as (running, visitor):
        for ask in broken:
            corrupt(ask(visitor))
        for ask in whole:
            ask(visitor)
        assert visitor.get("/healthz").status_code == 200
        assert running.stop() == 0
    assert not [line for line in running.log if '"event": "fault"' in line]


def test_pages_that_break_under_a_service_give_the_right_answer_or_none(
    installation: Installation,
) -> None:
    with visited(installation) as (running, visitor):
        visitor.send("ada", "bob")
        is_known(visitor)
        # An erasure empties the write-ahead log, so the file is all there is.
        assert visitor.erase("eve").json()["state"] == "done"
        for table in ("ledger", "shards", "cells"):
            break_page(installation, table)
        for _ in range(5):
            answer = visitor.dau()
            if answer.status_code == 200:
                assert answer.json()["estimate"] == 2
            else:
                corrupt(answer)
        assert visitor.send("new").status_code in {200, 503}
        assert visitor.get("/healthz").status_code == 200
        running.stop()
    doctor = installation.run("doctor")
    assert doctor.returncode == 11
    assert "problem" in doctor.stdout


def test_a_store_that_cannot_be_opened_says_why_and_what_to_do(installation: Installation) -> None:
    with visited(installation) as (_, visitor):
        visitor.send("ada")
    secret = installation.data_dir / "secret"
    kept = secret.read_text()
    secret.unlink()
    with pytest.raises(RuntimeError, match=rf"ended with 2 (?s:.)*{secret} does not exist"):
        installation.serve()
    assert not secret.exists()
    secret.write_text(kept)
    break_page(installation, "meta")
    with pytest.raises(RuntimeError, match=r"ended with 10 (?s:.)*malformed. Restore a backup"):
        installation.serve()
    secret.unlink()
    for path in installation.data_dir.glob("dpdau.sqlite3*"):
        path.unlink()
    database(installation).write_text("no database at all, but some text" * 99)
    with pytest.raises(RuntimeError, match=r"ended with 10 (?s:.)*is not a dpdau store"):
        installation.serve()


def test_a_log_that_lost_its_end_stops_releases_and_not_events(installation: Installation) -> None:
    with visited(installation) as (running, visitor):
        visitor.send("ada")
        log = database(installation).with_name("dpdau.sqlite3-wal")
        before = log.stat().st_size
        is_one = visitor.dau()
        assert is_one.json()["estimate"] == 1
        running.kill()
    # What was synced is gone: no program can know of it but by the copy of the ledger's head.
    with log.open("r+b") as file:
        file.truncate(before)
    with visited(installation) as (_, visitor):
        assert told(visitor.dau(FREE), 503, "ledger-rolled-back")
        assert told(visitor.get("/readyz"), 503, "ledger-rolled-back")
        assert visitor.send("bob", day=YESTERDAY).status_code == 200
