"""An older store put back: noticed, named, and charged before anything goes on."""

import errno
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dpdau.application import Application
from dpdau.errors import (
    DayOutOfRangeError,
    HeadNotKeptError,
    InputError,
    InvalidValueError,
    LedgerDamagedError,
    LedgerRolledBackError,
    StoreError,
)
from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Metric
from dpdau.pipeline.guard import LedgerGuard
from dpdau.store import HeadFile
from support import Event, FakeClock, application, columns

YESTERDAY = date(2025, 11, 19)
PERIOD = "2025-11"
SETTINGS: dict[str, Any] = {
    "mechanism_dau": "laplace",
    "epsilon_dau": 0.3,
    "w_bound_mau": "unbounded",
    "hash_salt_secret": "one secret for every store of these tests",
}
SIGNED = {"who": "Ada", "why": "the disk died"}


@pytest.fixture
def start(tmp_path: Path, clock: FakeClock) -> Iterator[Callable[..., Application]]:
    opened: list[Application] = []

    def begin(**settings: Any) -> Application:
        opened.append(application(tmp_path, clock=clock, **SETTINGS, **settings))
        return opened[-1]

    yield begin
    for app in opened:
        app.close()


class Disk:
    """What an operator can do to the files."""

    def __init__(self, directory: Path) -> None:
        self.database = directory / "dpdau.sqlite3"
        self.head = directory / "ledger.head"
        self._copy = b""

    def back_up(self) -> None:
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._copy = self.database.read_bytes()

    def put_back(self) -> None:
        for suffix in ("-wal", "-shm"):
            self.database.with_name(self.database.name + suffix).unlink(missing_ok=True)
        self.database.write_bytes(self._copy)

    def edit(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def remembered(self) -> Any:
        return json.loads(self.head.read_bytes())


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture
def rolled_back(start: Callable[..., Application], disk: Disk, clock: FakeClock) -> Application:
    """A store of the 18th, put back after the 19th and a few more were published."""
    clock.now = datetime(2025, 11, 19, 12, tzinfo=UTC)
    with start() as app:
        app.release(Metric.MAU, YESTERDAY - timedelta(days=1))
        app.release(Metric.DAU, YESTERDAY - timedelta(days=1))
    disk.back_up()
    clock.advance(days=1)
    with start() as app:
        app.release(Metric.MAU, YESTERDAY)
        app.release(Metric.MAU, YESTERDAY, 7)
        app.release(Metric.DAU, YESTERDAY)
        app.raise_cap(Metric.DAU, PERIOD, 4.0, who="Ada", why="more")
    disk.put_back()
    return start()


def test_an_older_store_releases_nothing_but_takes_events_and_tells_what_it_published(
    rolled_back: Application,
) -> None:
    app, known = rolled_back, YESTERDAY - timedelta(days=1)
    for question in (
        lambda: app.release(Metric.MAU, YESTERDAY),
        lambda: app.release(Metric.DAU, YESTERDAY),
        lambda: app.revise(Metric.DAU, known),
        lambda: app.raise_cap(Metric.DAU, PERIOD, 5.0, **SIGNED),
        lambda: list(app.publish()),
        app.verify,
    ):
        with pytest.raises(LedgerRolledBackError, match=r"ends at row 20 .* remembers row 24 "):
            question()
    assert app.release(Metric.MAU, known).estimate >= 0
    assert app.release(Metric.DAU, known).estimate >= 0
    events = columns([Event("ada", YESTERDAY)])
    app.ingestor.apply(app.ingestor.pseudonymize(events))
    assert app.erase(["ada"]).state == "done"
    assert len(app.ledger()) == 20


def test_an_acknowledgement_charges_what_was_lost_and_ends_the_series_that_lost_rows(
    rolled_back: Application, disk: Disk, clock: FakeClock
) -> None:
    app = rolled_back
    charged = disk.remembered()["budgets"]
    rows = app.acknowledge(**SIGNED)
    assert [row.kind for row in rows] == ["acknowledgement"] * 2 + ["recharge"] * 2
    assert [row.body["who"] for row in rows[:2]] == ["Ada"] * 2
    assert rows[1].body["ended_series"] == [{"series_id": "mau-30d-2025-11", "period": PERIOD}]
    assert app.verify().rows == 24
    assert [each["charges"] for each in disk.remembered()["budgets"]] == [
        each["charges"] for each in charged
    ]
    with pytest.raises(DayOutOfRangeError, match="row 22 of the ledger acknowledges"):
        app.release(Metric.MAU, YESTERDAY)
    assert app.series(Metric.MAU, YESTERDAY, YESTERDAY).unpublished == [YESTERDAY]
    assert list(app.publish()) == []
    assert app.publisher.due().days == 0
    assert app.release(Metric.DAU, YESTERDAY).budget.epsilon_spent == pytest.approx(0.9, abs=1e-4)
    assert app.release(Metric.MAU, YESTERDAY - timedelta(days=1)).revision == 0
    clock.now = datetime(2025, 12, 2, 12, tzinfo=UTC)
    assert app.release(Metric.MAU, date(2025, 12, 1)).estimate >= 0
    assert app.verify().remarks == []


def test_an_acknowledgement_that_is_rolled_back_itself_is_remembered_too(
    rolled_back: Application, start: Callable[..., Application], disk: Disk
) -> None:
    rolled_back.acknowledge(**SIGNED)
    rolled_back.close()
    disk.put_back()
    with start() as app:
        with pytest.raises(LedgerRolledBackError, match="remembers row 24 "):
            app.release(Metric.DAU, YESTERDAY)
        rows = app.acknowledge(**SIGNED)
        assert len(rows) == 4
        assert rows[1].body["ended_series"] != []
        assert app.verify().rows == 24


def test_a_crash_between_the_acknowledgement_and_its_copy_is_made_good_at_the_start(
    rolled_back: Application,
    start: Callable[..., Application],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LedgerGuard, "keep", crash)
        with pytest.raises(KeyboardInterrupt):
            rolled_back.acknowledge(**SIGNED)
    with start() as app:
        assert app.verify().rows == 24
        with pytest.raises(InputError, match="nothing is lost"):
            app.acknowledge(**SIGNED)


def test_only_a_fault_with_name_and_reason_is_acknowledged(
    rolled_back: Application,
) -> None:
    with pytest.raises(InvalidValueError, match="who"):
        rolled_back.acknowledge("", "x")
    with pytest.raises(InputError, match="charge them"):
        rolled_back.acknowledge(**SIGNED, nothing_lost=True)


def test_a_store_that_was_made_anew_beside_an_old_copy_is_charged_all_of_it(
    rolled_back: Application, start: Callable[..., Application], disk: Disk
) -> None:
    rolled_back.close()
    disk.database.unlink()
    with start() as app:
        with pytest.raises(LedgerRolledBackError, match=r"is empty and .* remembers row 24 "):
            app.release(Metric.DAU, YESTERDAY)
        rows = app.acknowledge(**SIGNED)
        assert [row.kind for row in rows].count(LedgerKind.RECHARGE) == 4
        with pytest.raises(DayOutOfRangeError):
            app.release(Metric.MAU, YESTERDAY)
        assert app.verify().rows == 6


def test_a_ledger_that_went_another_way_is_charged_for_both(
    rolled_back: Application, start: Callable[..., Application], disk: Disk
) -> None:
    rolled_back.close()
    head = disk.head.read_bytes()
    disk.head.unlink()
    disk.edit("DELETE FROM meta WHERE name = 'ledger_head_kept'")
    with start() as app:
        app.release(Metric.MAU, YESTERDAY)
        for window in (7, 8, 9):
            app.release(Metric.MAU, YESTERDAY, window)
    disk.head.write_bytes(head)
    with start(mau_budget_total=3.5) as app:
        with pytest.raises(LedgerRolledBackError, match=r"ends at row 24 .* remembers row 24 "):
            app.release(Metric.MAU, YESTERDAY, 10)
        rows = app.acknowledge(**SIGNED)
        assert [(row.kind, row.metric) for row in rows[2:]] == [
            (LedgerKind.RECHARGE, Metric.DAU),
            (LedgerKind.RECHARGE, Metric.DAU),
            (LedgerKind.RECHARGE, Metric.MAU),
            (LedgerKind.RECHARGE, Metric.MAU),
        ]
        assert rows[1].body["ended_series"] != []
        assert app.verify().rows == 30


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[]", b'{"version": 2}', b'{"sequence": 1, "hash": "\xff"}']
)
def test_a_copy_that_is_gone_or_broken_stops_releases_until_it_is_acknowledged(
    start: Callable[..., Application], disk: Disk, clock: FakeClock, content: bytes | None
) -> None:
    with start() as app:
        app.release(Metric.MAU, YESTERDAY)
    disk.head.unlink()
    if content is not None:
        disk.head.write_bytes(content)
    with start() as app:
        with pytest.raises(LedgerRolledBackError, match="missing or broken"):
            app.release(Metric.DAU, YESTERDAY)
        rows = app.acknowledge(**SIGNED)
        assert [row.body["closed_through"] for row in rows] == ["2025-11-30"] * 2
        for refused in (
            lambda: app.release(Metric.DAU, YESTERDAY),
            lambda: app.release(Metric.MAU, YESTERDAY, 7),
            lambda: app.release(Metric.MAU, date(2025, 10, 7)),
        ):
            with pytest.raises(DayOutOfRangeError, match="acknowledges that rows were lost"):
                refused()
        assert app.release(Metric.MAU, YESTERDAY).estimate >= 0
        clock.now = datetime(2025, 12, 2, 12, tzinfo=UTC)
        app.release(Metric.DAU, date(2025, 12, 1))
        app.release(Metric.MAU, date(2025, 12, 1))
        assert app.verify().rows > 20


def test_closed_periods_stay_closed_when_the_row_that_closed_them_is_rolled_back(
    start: Callable[..., Application], disk: Disk
) -> None:
    with start() as app:
        app.release(Metric.DAU, YESTERDAY)
    disk.back_up()
    disk.head.unlink()
    with start() as app:
        app.acknowledge(**SIGNED)
    disk.put_back()
    with start() as app:
        rows = app.acknowledge(**SIGNED)
        assert [row.body["closed_through"] for row in rows] == ["2025-11-30"] * 2
        assert app.verify().rows == 3


def test_an_operator_who_knows_that_nothing_was_lost_goes_on_without_a_gap(
    start: Callable[..., Application], disk: Disk
) -> None:
    with start() as app:
        app.release(Metric.MAU, YESTERDAY)
    disk.head.unlink()
    with start() as app:
        rows = app.acknowledge(**SIGNED, nothing_lost=True)
        assert [row.body["nothing_lost"] for row in rows] == [True, True]
        assert app.release(Metric.DAU, YESTERDAY).estimate >= 0
        assert app.verify().rows == 20 + 2 + 1


def test_a_first_start_after_an_upgrade_makes_the_copy(
    start: Callable[..., Application], disk: Disk
) -> None:
    with start() as app:
        app.release(Metric.DAU, YESTERDAY)
    disk.head.unlink()
    disk.edit("DELETE FROM meta WHERE name = 'ledger_head_kept'")
    with start() as app:
        assert app.verify().rows == 1
    assert disk.remembered()["sequence"] == 1
    disk.head.unlink()
    with start() as app, pytest.raises(LedgerRolledBackError):
        app.verify()


def test_a_copy_that_a_crash_left_behind_is_moved_before_the_value_leaves(
    start: Callable[..., Application], disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object, **__: object) -> None:
        raise StoreError("the second disk is gone")

    app = start()
    with monkeypatch.context() as patch:
        patch.setattr(HeadFile, "replace", crash)
        for _ in range(2):
            with pytest.raises(StoreError, match="no value leaves"):
                app.release(Metric.DAU, YESTERDAY)
    assert (len(app.ledger()), disk.remembered()["sequence"]) == (1, 1)
    with monkeypatch.context() as patch:
        patch.setattr(HeadFile, "replace", crash)
        with pytest.raises(StoreError, match="no value leaves"):
            app.release(Metric.DAU, YESTERDAY - timedelta(days=1))
    with start() as other:
        assert disk.remembered()["sequence"] == 2
        assert other.release(Metric.DAU, YESTERDAY - timedelta(days=1)).budget.releases == 2


def test_a_copy_out_of_reach_stops_releases_not_events(
    start: Callable[..., Application], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    app = start(ledger_head_path=tmp_path / "file" / "ledger.head")
    with pytest.raises(StoreError):
        app.release(Metric.DAU, YESTERDAY)
    app.ingestor.apply(app.ingestor.pseudonymize(columns([Event("ada", YESTERDAY)])))


def test_a_value_whose_row_is_in_the_ledger_only_waits_for_the_copy_and_is_paid_once(
    start: Callable[..., Application], disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    app = start()
    with monkeypatch.context() as patch:
        patch.setattr("dpdau.store.head.replace_durably", full)
        for _ in range(2):
            with pytest.raises(HeadNotKeptError, match=r"\(disk full\), so no value leaves"):
                app.release(Metric.DAU, YESTERDAY)
    released = app.release(Metric.DAU, YESTERDAY)
    assert released.budget.releases == 1
    assert disk.remembered()["sequence"] == 1


def test_the_copy_is_kept_where_the_setting_says(
    start: Callable[..., Application], tmp_path: Path, disk: Disk
) -> None:
    elsewhere = tmp_path / "other" / "head.json"
    with start(ledger_head_path=elsewhere) as app:
        app.release(Metric.DAU, YESTERDAY)
    assert elsewhere.stat().st_mode & 0o777 == 0o600
    assert json.loads(elsewhere.read_bytes())["sequence"] == 1
    assert not disk.head.exists()


DROPPED = (
    "DROP TRIGGER ledger_is_never_changed",
    "DROP TRIGGER ledger_is_never_shortened",
    "DROP TRIGGER ledger_only_grows",
)
EDITS: dict[str, tuple[str, str]] = {
    "a changed value": (
        """UPDATE ledger SET body = json_set(body, '$.estimate', -1) WHERE sequence = 2""",
        "row 2: its content does not match its hash",
    ),
    "a changed time": (
        "UPDATE ledger SET recorded_at = '2025-11-01T00:00:00Z' WHERE sequence = 1",
        "row 1: its content does not match its hash",
    ),
    "a changed hash": (
        "UPDATE ledger SET hash = 'f' || substr(hash, 2) WHERE sequence = 2",
        "row 2: its content does not match its hash",
    ),
    "a removed row": ("DELETE FROM ledger WHERE sequence = 2", "row 2: row 2 is missing"),
    "a removed first row": ("DELETE FROM ledger WHERE sequence = 1", "row 1: row 1 is missing"),
    "a row that is none": ("UPDATE ledger SET kind = 'gift' WHERE sequence = 2", "row 2"),
    "an appended row": (
        """INSERT INTO ledger SELECT 4, kind, metric, period, 'dau-1d-2025-11-02', recorded_at,
        charge, body, hash, hash FROM ledger WHERE sequence = 3""",
        "row 4: its content does not match its hash",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_another_tool_changes_in_the_file_is_named_and_stops_releases_only(
    start: Callable[..., Application], disk: Disk, name: str
) -> None:
    with start() as app:
        for days in range(3):
            app.release(Metric.DAU, YESTERDAY - timedelta(days=days))
    statement, reason = EDITS[name]
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        disk.edit(statement.replace("SELECT 4,", "SELECT 9,"))
    disk.edit(*DROPPED, statement)
    with start() as app:
        for question in (
            app.verify,
            lambda: app.release(Metric.DAU, date(2025, 11, 1)),
            lambda: app.acknowledge(**SIGNED),
        ):
            with pytest.raises(LedgerDamagedError, match=reason):
                question()
        app.ingestor.apply(app.ingestor.pseudonymize(columns([Event("ada", YESTERDAY)])))
        assert app.erase(["ada"]).state == "done"


def test_rows_that_were_swapped_are_named(start: Callable[..., Application], disk: Disk) -> None:
    with start() as app:
        for days in range(3):
            app.release(Metric.DAU, YESTERDAY - timedelta(days=days))
    swap = "UPDATE ledger SET sequence = {} WHERE sequence = {}"
    disk.edit(*DROPPED, *(swap.format(*each) for each in ((9, 2), (2, 3), (3, 9))))
    with start() as app, pytest.raises(LedgerDamagedError, match="row 2: it does not continue"):
        app.verify()


def test_a_ledger_whose_hashes_were_all_computed_anew_contradicts_its_copy(
    start: Callable[..., Application], disk: Disk
) -> None:
    with start() as app:
        app.release(Metric.DAU, YESTERDAY)
        (row,) = app.ledger()
    forged = msgspec.structs.replace(row, body={**row.body, "released_at": "2025-11-20T11:00:00Z"})
    disk.edit(
        *DROPPED,
        f"""UPDATE ledger SET hash = '{forged.computed_hash()}',
        body = json_set(body, '$.released_at', '2025-11-20T11:00:00Z')""",  # noqa: S608 - a forger
    )
    with start() as app, pytest.raises(LedgerRolledBackError, match="remembers row 1 "):
        app.release(Metric.DAU, YESTERDAY - timedelta(days=1))


def test_a_clock_that_jumps_is_remarked_and_stops_nothing(
    start: Callable[..., Application], clock: FakeClock
) -> None:
    app = start()
    first = app.release(Metric.DAU, YESTERDAY)
    clock.advance(days=-3)
    assert app.release(Metric.DAU, YESTERDAY).released_at == first.released_at
    app.release(Metric.DAU, YESTERDAY - timedelta(days=3))
    clock.advance(days=5)
    app.release(Metric.DAU, YESTERDAY + timedelta(days=1))
    (remark,) = app.verify().remarks
    assert remark == "Row 2 is dated 3 days, 0:00:00 before row 1: the clock was set back."


def test_a_series_that_lost_no_row_goes_on_beside_one_release_that_is_charged_again(
    start: Callable[..., Application], disk: Disk, clock: FakeClock
) -> None:
    with start() as app:
        app.release(Metric.DAU, YESTERDAY)
        app.release(Metric.MAU, YESTERDAY)
    disk.back_up()
    with start() as app:
        spent = app.release(Metric.MAU, YESTERDAY, 7).budget.epsilon_spent
    disk.put_back()
    with start() as app:
        rows = app.acknowledge(**SIGNED)
        assert [(row.kind, row.metric) for row in rows[2:]] == [(LedgerKind.RECHARGE, Metric.MAU)]
        assert app.budget_of(Metric.MAU, YESTERDAY).epsilon_spent == spent
        clock.advance(days=1)
        assert app.release(Metric.MAU, YESTERDAY + timedelta(days=1)).epsilon == 2.8
        assert app.verify().rows == 1 + 20 + 3 + 1


@pytest.mark.parametrize("body", ["{}", '{"plan_id": "x"}', '{"plan_id": "x", "window_days": 30}'])
def test_a_row_that_is_none_though_its_hash_fits_stops_releases_not_the_start(
    start: Callable[..., Application], disk: Disk, body: str
) -> None:
    with start() as app:
        app.release(Metric.DAU, YESTERDAY)
        (row,) = app.ledger()
    disk.edit("DELETE FROM meta WHERE name = 'ledger_head_kept'")
    disk.head.unlink()
    forged = msgspec.structs.replace(row, body=json.loads(body))
    disk.edit(*DROPPED, f"UPDATE ledger SET body = '{body}', hash = '{forged.computed_hash()}'")  # noqa: S608 - a forger
    with start() as app:
        app.ingestor.apply(app.ingestor.pseudonymize(columns([Event("ada", YESTERDAY)])))
        with pytest.raises(LedgerDamagedError, match="row 1: its body is no release"):
            app.verify()


def test_a_row_that_another_process_publishes_meanwhile_is_no_fault(
    start: Callable[..., Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    app, other = start(), start()
    app.release(Metric.DAU, YESTERDAY)
    read, days = HeadFile.read, iter((1, 2))

    def read_late(copy: HeadFile) -> bytes | None:
        with monkeypatch.context() as patch:
            patch.setattr(HeadFile, "read", read)
            other.release(Metric.DAU, YESTERDAY - timedelta(days=next(days)))
        return read(copy)

    with monkeypatch.context() as patch:
        patch.setattr(HeadFile, "read", read_late)
        app.guard.check()
        assert app.verify().rows == 2
    assert app.verify().rows == 3
