"""Erasure on real files: late events, returns, races, locks, full disks and lost places."""

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpdau.application import Application
from dpdau.errors import DpdauError, JournalDamagedError, StoreBusyError, StoreFullError
from dpdau.model.releases import Metric
from dpdau.store import JournalFile
from dpdau.store import journal as journal_module
from support import EXACT, Event, FakeClock, application, columns

TODAY = date(2025, 11, 20)
YESTERDAY = TODAY - timedelta(days=1)
USERS = ("ada", "bob", "eve")

Open = Callable[..., Application]


@pytest.fixture
def opened(tmp_path: Path, clock: FakeClock) -> Iterator[Open]:
    applications: list[Application] = []

    def open_application(**settings: Any) -> Application:
        given = {"lateness_hours": 0, "store_busy_seconds": 0.05, **EXACT, **settings}
        applications.append(application(tmp_path, clock=clock, **given))
        return applications[-1]

    yield open_application
    for each in applications:
        each.close()


@pytest.fixture
def app(opened: Open) -> Application:
    app = opened()
    send(app, *(Event(user, day) for user in USERS for day in (YESTERDAY, TODAY)))
    return app


def send(app: Application, *events: Event) -> int:
    """Store events; returns how many were refused for their user's erasure."""
    ingestor = app.ingestor
    return ingestor.apply(ingestor.pseudonymize(columns(events))).refused_after_erasure


def active(app: Application, day: date) -> int:
    with app.store.read() as reader:
        return len(reader.members(day.toordinal(), day.toordinal()))


def in_journal(app: Application, directory: Path, *users: str) -> list[bool]:
    kept = set(JournalFile(directory / "erasures.journal").read().pseudonyms.tolist())
    names = app.ingestor._pseudonymizer.pseudonyms(users)  # noqa: SLF001 - as they are kept
    return [each in kept for each in names.tolist()]


# --- what an erasure means -------------------------------------------------------------------


def test_events_dated_before_the_erasure_that_arrive_later_are_refused_and_counted(
    app: Application, clock: FakeClock
) -> None:
    app.erase(["ada"])
    clock.advance(days=1)
    late = [Event("ada", TODAY - timedelta(days=back)) for back in range(1, 6)]
    assert send(app, *late, Event("bob", YESTERDAY)) == 5
    assert active(app, YESTERDAY) == 2


def test_someone_who_returns_is_a_new_user_to_the_counts_and_keeps_the_limiters_index(
    app: Application, clock: FakeClock
) -> None:
    with app.store.read() as reader:
        before = reader.user_indices(app.ingestor._pseudonymizer.pseudonyms(["ada"]))  # noqa: SLF001
    app.erase(["ada"])
    clock.advance(days=1)
    tomorrow = TODAY + timedelta(days=1)
    assert send(app, Event("ada", tomorrow), Event("new", tomorrow)) == 0
    with app.store.read() as reader:
        after = reader.user_indices(app.ingestor._pseudonymizer.pseudonyms(["ada"]))  # noqa: SLF001
    assert after == before
    assert [active(app, day) for day in (YESTERDAY, TODAY, tomorrow)] == [2, 2, 2]


def test_published_values_stand_and_later_ones_exclude_the_person(app: Application) -> None:
    published = app.release(Metric.DAU, YESTERDAY)
    app.erase(["ada"])
    assert app.release(Metric.DAU, YESTERDAY) == published
    assert published.estimate == 3
    assert app.revise(Metric.DAU, YESTERDAY).estimate == 2
    assert app.release(Metric.MAU, YESTERDAY, 7).estimate == 2


def test_erasing_someone_twice_changes_nothing_but_the_records(app: Application) -> None:
    first, second = app.erase(["ada"]), app.erase(["ada"])
    assert first.erasure_id != second.erasure_id
    assert (first.state, second.state, active(app, YESTERDAY)) == ("done", "done", 2)
    assert [app.receipt(each.erasure_id).days_touched for each in (first, second)] == [2, 0]


def test_of_a_done_erasure_only_tombstones_are_left_in_the_data_directory(
    app: Application, tmp_path: Path
) -> None:
    name = "ada.lovelace@example.com"
    send(app, *(Event(name, TODAY - timedelta(days=back)) for back in range(20)))
    app.release(Metric.DAU, YESTERDAY)
    (pseudonym,) = app.ingestor._pseudonymizer.pseudonyms([name]).tolist()  # noqa: SLF001
    with app.store.read() as reader:
        (index,) = reader.user_indices(np.array([pseudonym], dtype=np.uint64)).tolist()
    key = "the request of ada.lovelace"
    assert app.erase([name], key).state == "done"
    traces = {}
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        assert b"lovelace" not in content
        found = sum(content.count(pseudonym.to_bytes(8, order)) for order in ("big", "little"))
        traces[file.name] = found + content.count(str(pseudonym).encode())
    assert {file: found for file, found in traces.items() if found} == {
        "dpdau.sqlite3": 1,
        "erasures.journal": 1,
    }
    with app.store.read() as reader:
        assert index not in reader.members(1, (TODAY + timedelta(days=1)).toordinal())
        assert index not in reader.known_users()


# --- at the same time ------------------------------------------------------------------------


def together(*works: Callable[[], object]) -> None:
    """Run works at once; the first error is raised."""
    ready = threading.Barrier(len(works))
    errors: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        ready.wait()
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_whoever_is_erased_while_their_events_arrive_is_in_no_earlier_day(
    opened: Open, tmp_path: Path
) -> None:
    app, other = opened(store_busy_seconds=30), opened(store_busy_seconds=30)

    def ingest() -> None:
        for back in range(1, 30):
            send(other, Event("ada", TODAY - timedelta(days=back)), Event("bob", YESTERDAY))

    together(ingest, lambda: app.erase(["ada"]))
    app.eraser.finish()
    assert [active(app, TODAY - timedelta(days=back)) for back in range(1, 30)] == [1] + 28 * [0]
    assert in_journal(app, tmp_path, "ada") == [True]


def test_those_who_erase_at_once_all_finish(opened: Open, tmp_path: Path) -> None:
    apps = [opened(store_busy_seconds=30) for _ in range(2)]
    records: list[str] = []

    def erase(app: Application, name: str) -> None:
        records.extend(app.erase([f"{name}-{number}"]).erasure_id for number in range(5))

    together(lambda: erase(apps[0], "a"), lambda: erase(apps[1], "b"))
    for app in apps:
        app.eraser.finish()
    assert {apps[0].erasure(each).state for each in records} == {"done"}
    names = [f"{name}-{number}" for name in "ab" for number in range(5)]
    assert in_journal(apps[0], tmp_path, *names) == [True] * 10


def test_an_erasure_during_a_publication_leaves_a_ledger_that_verifies(opened: Open) -> None:
    continual = {"mechanism_dau": "continual", "dau_budget_total": 3.0, "epsilon_dau": 0.3}
    app = opened(store_busy_seconds=30, **continual)
    days = [TODAY - timedelta(days=back) for back in range(1, 20)]
    send(app, *(Event(user, day) for user in USERS for day in days))
    together(
        lambda: app.release(Metric.DAU, YESTERDAY),
        lambda: app.erase(["ada"]),
        lambda: app.erase(["bob"]),
    )
    app.eraser.finish()
    assert app.verify().rows == 1 + YESTERDAY.day
    assert {active(app, day) for day in days} == {1}


# --- when something fails --------------------------------------------------------------------


def test_a_store_that_is_locked_erases_nobody_and_says_so(app: Application, tmp_path: Path) -> None:
    lock = sqlite3.connect(tmp_path / "dpdau.sqlite3", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusyError, match="Nothing was changed"):
        app.erase(["ada"], "the key")
    lock.close()
    assert active(app, YESTERDAY) == 3
    assert app.erase(["ada"], "the key").state == "done"
    assert active(app, YESTERDAY) == 2


def test_a_full_disk_erases_nobody_and_says_so(app: Application) -> None:
    writer = app.store._writer  # type: ignore[attr-defined]  # noqa: SLF001 - no room by order
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}")
    crowd = ["ada", *(f"user-{number}" for number in range(50_000))]
    with pytest.raises(StoreFullError, match="Nothing was changed"):
        app.erase(crowd, "the key")
    assert active(app, YESTERDAY) == 3
    writer.execute("PRAGMA max_page_count = 1000000")
    assert app.erase(crowd, "the key").state == "done"
    assert active(app, YESTERDAY) == 2


def failing(code: int) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_an_erasure_is_not_done_until_the_journal_can_be_written(
    app: Application, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    app.erase(["eve"])
    with monkeypatch.context() as patch:
        patch.setattr(journal_module.os, "fsync", failing(code))
        erasure = app.erase(["ada"])
        assert erasure.state == "received"
        with pytest.raises(DpdauError):
            app.eraser.finish()
    assert active(app, YESTERDAY) == 1
    restarted = opened()
    restarted.upkeep.run()
    assert restarted.erasure(erasure.erasure_id).state == "done"
    assert in_journal(app, tmp_path, "ada", "eve") == [True, True]


def test_a_damaged_journal_is_told_and_made_anew_once_it_is_moved_away(
    app: Application, opened: Open, tmp_path: Path
) -> None:
    app.erase(["eve"])
    path = tmp_path / "erasures.journal"
    path.write_bytes(b"?" * 100)
    erasure = app.erase(["ada"])
    with pytest.raises(JournalDamagedError, match="move this file away"):
        app.eraser.finish()
    assert erasure.state == "received"
    path.unlink()
    app.eraser.finish()
    assert app.erasure(erasure.erasure_id).state == "done"
    assert in_journal(app, tmp_path, "ada", "eve") == [True, True]
    path.unlink()
    opened()
    assert in_journal(app, tmp_path, "ada", "eve") == [True, True]


@pytest.mark.usefixtures("leaps_are_believed")
def test_a_journal_that_cannot_be_used_stops_neither_publication_nor_retention(
    opened: Open, clock: FakeClock, tmp_path: Path
) -> None:
    app = opened(mechanism_dau="continual", dau_budget_total=3.0, epsilon_dau=0.3)
    send(app, *(Event(user, TODAY) for user in USERS))
    (tmp_path / "erasures.journal").write_bytes(b"?")
    app.eraser.erase(["ada"])
    clock.advance(days=1)
    with pytest.raises(JournalDamagedError):
        app.upkeep.run()
    assert [row.subject for row in app.ledger()][-1] == f"dau-1d-{TODAY}"
    clock.advance(days=app.calendar.retention_days)
    with pytest.raises(JournalDamagedError):
        app.upkeep.run()
    assert active(app, TODAY) == 0
    (tmp_path / "erasures.journal").unlink()
    assert app.upkeep.run().waiting_erasures == 0


def test_the_journal_lies_beside_the_copy_of_the_ledgers_head(opened: Open, tmp_path: Path) -> None:
    elsewhere = tmp_path / "another disk"
    app = opened(ledger_head_path=elsewhere / "ledger.head")
    app.erase(["ada"])
    assert len(JournalFile(elsewhere / "erasures.journal").read()) == 1
    assert not (tmp_path / "erasures.journal").exists()
