"""Putting a backup back: no budget and nobody given back, and nothing changed where refused."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyroaring import BitMap

from dpdau.bootstrap import journal_of
from dpdau.errors import (
    BackupError,
    LedgerRolledBackError,
    StoreCorruptError,
    StoreInUseError,
    StoreVersionError,
)
from dpdau.maintenance.restore import Former
from dpdau.model.releases import Metric
from dpdau.pipeline.ports import OUTDATED
from dpdau.privacy.flippancy import LimiterState
from dpdau.store.folders import alone
from support import Event
from support.places import SECRET, Place, gone, pseudonym_of, send


@pytest.fixture
def backup(place: Place) -> Path:
    """Of a day on which three people were active, of whom one value was published."""
    place.active("ada", "bob", "eve")
    place.publish(days_ago=2)
    return place.back_up().path


def files(place: Place) -> dict[str, bytes]:
    """Every file but the locks of the ledger's head, which hold nothing."""
    kept = [file for file in place.directory.rglob("*") if file.is_file()]
    return {str(file): content(file) for file in kept}


def content(file: Path) -> bytes:
    """What a file holds; of a database not how its journal is kept."""
    if file.suffix == ".sqlite3":
        address = f"{file.as_uri()}?mode=ro&immutable=1"
        with (
            suppress(sqlite3.DatabaseError),
            closing(sqlite3.connect(address, uri=True)) as opened,
        ):
            return "".join(opened.iterdump()).encode()
    return file.read_bytes()


def index_of(place: Place, user: str) -> int:
    with place.open() as app, app.store.read() as reader:
        return int(reader.user_indices(pseudonym_of(user))[0])


def test_what_was_published_since_stays_published_and_charged(place: Place, backup: Path) -> None:
    place.publish(days_ago=1)
    place.publish(Metric.MAU, days_ago=1)
    before = place.rows()
    place.active("late")
    restored = place.restore(backup)

    assert restored.former is Former.NEWER
    assert (restored.ledger_rows, restored.rows_kept) == (len(before), len(before) - 1)
    assert (restored.erasures_known, restored.stopped) == (True, None)
    assert place.rows() == before
    assert place.present() == 3
    assert place.publish(days_ago=3) >= 0


def test_a_series_goes_on_with_the_rows_that_it_measured_last(place: Place, backup: Path) -> None:
    place.publish(Metric.MAU, days_ago=2)
    place.restore(backup)
    place.publish(Metric.MAU, days_ago=1)
    assert place.rows().count("mau-30d-2025-11-19") == 1
    assert len(place.rows()) == 1 + 1 + 19


def test_a_series_that_was_complete_stays_so(place: Place) -> None:
    place.publish(Metric.MAU, days_ago=3)
    backup = place.back_up().path
    place.clock.advance(days=40)
    with place.open() as app:
        app.upkeep.run()
        with app.store.read() as reader:
            running = reader.series_keys()
    assert "2025-11" not in {key.period for key in running}
    place.restore(backup)
    with place.open() as app, app.store.read() as reader:
        assert reader.series_keys() == running


def test_nobody_who_was_erased_since_comes_back(place: Place, backup: Path) -> None:
    place.erase("ada")
    with place.open() as app:
        wanted = app.erase(["bob"]).erasure_id
    place.restore(backup)
    assert place.present() == 1
    assert index_of(place, "ada") == -1
    with place.open() as app:
        assert app.erasure(wanted).state == "done"
        send(app, [Event("ada", place.today - timedelta(days=1))])
    assert place.present() == 1, "events of before the erasure stay refused"


def test_whoever_came_back_before_the_backup_is_kept(place: Place) -> None:
    place.active("ada", "bob")
    place.erase("ada")
    place.active("ada", days_ago=0)
    backup = place.back_up().path
    place.restore(backup)
    assert (place.present(0), place.present(1)) == (1, 1)


def test_a_journal_of_erasures_stands_in_for_a_store_that_is_lost(
    place: Place, another: Place, backup: Path
) -> None:
    lost = gone("ada", place.today, index=10_000)
    journal_of(another.settings).append(lost)
    restored = another.restore(backup)
    assert (restored.former, restored.erasures_known) == (Former.NONE, True)
    assert another.present() == 2
    another.active("ada", "new", days_ago=0)
    assert index_of(another, "ada") == 10_000
    assert index_of(another, "new") == 10_001


def test_without_any_of_both_it_says_that_erasures_are_unknown(
    another: Place, backup: Path
) -> None:
    restored = another.restore(backup)
    assert (restored.former, restored.erasures_known) == (Former.NONE, False)
    assert another.present() == 3


def test_a_copy_that_was_not_made_by_a_backup_is_taken_as_the_oldest(
    place: Place, another: Place
) -> None:
    place.active("ada", "bob")
    erased_long_ago = gone("ada", place.today - timedelta(days=90))
    with place.open() as app, app.store.write() as transaction:
        transaction.put_tombstones(erased_long_ago)
    copied = place.directory.parent / "copied"
    shutil.copytree(place.directory, copied)
    journal_of(another.settings).append(erased_long_ago)
    another.restore(copied / "dpdau.sqlite3")
    assert another.present() == 1


def test_a_store_whose_log_was_not_written_back_can_be_restored(
    place: Place, another: Place, tmp_path: Path
) -> None:
    with place.open() as app:
        send(app, [Event("ada", place.today)])
        assert place.database.with_name("dpdau.sqlite3-wal").stat().st_size > 0
        shutil.copytree(place.directory, tmp_path / "crashed")
    another.restore(tmp_path / "crashed" / "dpdau.sqlite3")
    assert another.present(0) == 1


@pytest.mark.parametrize("torn", [0, 8_192])
def test_over_a_damaged_store_releases_stop_until_the_loss_is_acknowledged(
    place: Place, backup: Path, torn: int
) -> None:
    place.publish(days_ago=1)
    with place.open() as app:
        # A log that belongs to the damaged file and to no other.
        send(app, [Event("late", place.today)])
        shutil.copy(place.database.with_name("dpdau.sqlite3-wal"), place.directory / "kept")
    with place.database.open("r+b") as file:
        file.seek(torn)
        file.write(b"\xff" * 100_000)
    (place.directory / "kept").rename(place.database.with_name("dpdau.sqlite3-wal"))
    restored = place.restore(backup)

    assert restored.former is Former.UNREADABLE
    assert restored.stopped is not None
    with pytest.raises(LedgerRolledBackError):
        place.publish(days_ago=1)
    with place.open() as app:
        spent = app.budget_of(Metric.DAU).epsilon_spent
        app.acknowledge("Ada", "the disk died")
        assert app.budget_of(Metric.DAU).epsilon_spent > spent
    assert (place.present(1), place.present(0)) == (3, 0)


def test_over_a_store_with_a_damaged_ledger_erasures_are_still_known(
    place: Place, backup: Path
) -> None:
    place.erase("ada")
    place.publish(days_ago=1)
    (place.directory / "erasures.journal").write_bytes(b"damaged as well")
    with closing(sqlite3.connect(place.database)) as connection, connection:
        connection.execute("DROP TRIGGER ledger_is_never_changed")
        connection.execute("UPDATE ledger SET period = '2025-12' WHERE sequence = 2")
    restored = place.restore(backup)
    assert (restored.former, restored.erasures_known) == (Former.UNREADABLE, True)
    assert restored.stopped is not None
    assert place.present() == 2


def test_over_the_same_store_only_what_was_sent_since_is_gone(place: Place, backup: Path) -> None:
    place.active("late")
    restored = place.restore(backup)
    assert (restored.former, restored.rows_kept) == (Former.SAME, 0)
    assert place.present() == 3


def test_over_an_older_store_the_backup_is_ahead_and_what_that_one_erased_stays_erased(
    place: Place, backup: Path
) -> None:
    place.clock.advance(hours=1)
    place.publish(Metric.MAU, days_ago=1)
    newer = place.back_up().path
    place.database.unlink()
    shutil.copy(backup, place.database)
    place.erase("bob")
    restored = place.restore(newer)
    assert (restored.former, restored.rows_kept, restored.stopped) == (Former.OLDER, 0, None)
    assert place.present() == 2
    assert place.publish(Metric.MAU, days_ago=1) >= 0
    assert len(place.rows()) == 21


def test_ledgers_that_went_different_ways_are_not_joined(
    place: Place, another: Place, backup: Path
) -> None:
    another.restore(backup)
    with another.open() as app:
        app.acknowledge("Ada", "a copy", nothing_lost=True)
    other = another.back_up().path
    place.publish(days_ago=1)
    before = files(place)
    with pytest.raises(BackupError, match="from row 2 of the ledger on"):
        place.restore(other)
    assert files(place) == before


def test_a_limited_person_keeps_the_index_that_a_running_series_counted(place: Place) -> None:
    place.given["w_bound_mau"] = 4
    place.active("ada", "bob")
    backup = place.back_up().path
    place.active("new-1", "new-2", "late")
    place.erase("late")
    place.publish(Metric.MAU, days_ago=1)
    place.active("unseen", days_ago=0)
    news = [index_of(place, user) for user in ("new-1", "new-2")]
    (late,) = {2, 3, 4} - set(news)
    place.restore(backup)

    assert [index_of(place, user) for user in ("new-1", "new-2")] == news
    assert index_of(place, "unseen") == -1, "no series counted them"
    place.active("unseen", "another", "late", days_ago=0)
    assert {index_of(place, user) for user in ("unseen", "another")} == {6, 7}
    assert index_of(place, "late") == late
    assert place.present(1) == 2


def with_index(place: Place, change: Callable[[Any], None]) -> None:
    """Change a store, and let the MAU series of its month have counted everyone."""
    with place.open() as app:
        with app.store.write() as transaction:
            change(transaction)
        app.release(Metric.MAU, place.today - timedelta(days=1))


def test_whoever_came_back_under_another_index_has_the_later_one(place: Place) -> None:
    place.given["w_bound_mau"] = 4
    place.active("ada", "bob")
    backup = place.back_up().path

    ada = index_of(place, "ada")

    def forget_and_return(transaction: Any) -> None:
        transaction.erase_members(BitMap([ada]))
        transaction.forget_users(pseudonym_of("ada"))
        transaction.allot_indices(pseudonym_of("ada"))
        day = (place.today - timedelta(days=1)).toordinal()
        transaction.update_members(day, BitMap([2]), BitMap())

    with_index(place, forget_and_return)
    place.restore(backup)
    assert index_of(place, "ada") == 2
    assert place.present() == 1, "the day under the former index is gone"


def test_a_rotation_since_does_not_make_two_people_of_one(place: Place) -> None:
    place.given["w_bound_mau"] = 4
    place.active("ada", "bob", "eve")
    ada, bob = index_of(place, "ada"), index_of(place, "bob")
    with place.open() as app, app.store.write() as transaction:
        transaction.update_members(OUTDATED, BitMap([ada, bob]), BitMap())
    backup = place.back_up().path
    moved = np.array([4711], dtype=np.uint64)

    def rotate(transaction: Any) -> None:
        transaction.rename(pseudonym_of("ada"), moved)
        transaction.update_members(OUTDATED, BitMap(), BitMap([ada]))

    with_index(place, rotate)
    place.restore(backup)
    assert (index_of(place, "ada"), index_of(place, "bob")) == (-1, bob)
    with place.open() as app, app.store.read() as reader:
        assert reader.user_indices(moved).tolist() == [ada]
        assert reader.members(OUTDATED, OUTDATED) == BitMap([bob])
    assert place.present() == 3


@pytest.mark.parametrize("is_elsewhere", [True, False])
def test_whom_an_event_erased_during_a_rotation_does_not_come_back(
    place: Place, tmp_path_factory: pytest.TempPathFactory, *, is_elsewhere: bool
) -> None:
    place.active("ada", "bob")
    place.given["hash_salt_secret_previous"] = place.given["hash_salt_secret"]
    place.given["hash_salt_secret"] = "the secret that takes its place"
    place.open().close()
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "backup.sqlite3"
    backup = place.back_up(to=elsewhere if is_elsewhere else None).path
    with place.open() as app:
        send(app, [Event("ada", place.today - timedelta(days=1), add=False, whole_user=True)])
        assert app.upkeep.run().waiting_erasures == 0
    place.restore(backup)
    assert place.present() == 1


def test_whoever_was_erased_and_came_back_before_a_rotation_is_one_person_after_a_restore(
    place: Place,
) -> None:
    place.active("ada")
    place.erase("ada")
    place.active("ada", days_ago=0)
    place.clock.advance(days=1)
    place.given |= {
        "hash_salt_secret": "another secret for the same store",
        "hash_salt_secret_previous": SECRET,
    }
    with place.open():
        # The rotation has begun, and nobody has moved.
        pass
    backup = place.back_up().path
    place.clock.advance(days=1)
    place.active("ada", days_ago=0)
    place.restore(backup)
    assert place.present(2) == 1
    place.active("ada", days_ago=0)
    with place.open() as app, app.store.read() as reader:
        assert len(reader.known_users()) == 1
        assert len(reader.tombstones()) == 1
    place.erase("ada")
    assert (place.present(0), place.present(2)) == (0, 0)


def test_an_erasure_that_died_during_a_rotation_reaches_backups_after_the_restart(
    place: Place,
) -> None:
    place.active("ada", "bob")
    place.given |= {
        "hash_salt_secret": "another secret for the same store",
        "hash_salt_secret_previous": SECRET,
    }
    with place.open():
        pass
    backup = place.back_up().path
    with place.open() as app:
        app.eraser.erase(["ada"])
    with place.open() as app:
        assert app.upkeep.run().waiting_erasures == 0
    place.restore(backup)
    assert place.present() == 1


def test_an_index_that_two_people_had_is_the_later_ones(place: Place) -> None:
    place.given["w_bound_mau"] = 4
    place.active("ada", "bob")
    backup = place.back_up().path
    someone = np.array([4711], dtype=np.uint64)
    with_index(place, lambda transaction: transaction.rename(pseudonym_of("ada"), someone))
    place.restore(backup)
    assert index_of(place, "ada") == -1
    assert place.present() == 1


def test_an_erased_person_is_found_by_index_where_the_pseudonym_was_another(place: Place) -> None:
    place.active("ada", "bob")
    ada = index_of(place, "ada")
    with place.open() as app, app.store.write() as transaction:
        transaction.update_members(OUTDATED, BitMap([0, 1]), BitMap())
    backup = place.back_up().path
    with place.open() as app, app.store.write() as transaction:
        transaction.rename(pseudonym_of("ada"), np.array([4711], dtype=np.uint64))
    stone = gone("ada", place.today, index=ada)
    renamed = type(stone)(
        np.array([4711], dtype=np.uint64), stone.erased_on, stone.recorded_on, stone.user_indices
    )
    journal_of(place.settings).append(renamed)
    place.restore(backup)
    assert (place.present(), index_of(place, "ada")) == (1, -1)


def test_what_is_past_the_retention_is_not_restored(place: Place) -> None:
    place.active("ada")
    backup = place.back_up().path
    place.clock.advance(days=500)
    place.restore(backup)
    assert place.present(501) == 0


def test_the_limiter_of_the_restored_store_is_the_newest(place: Place) -> None:
    place.given["w_bound_mau"] = 4
    place.active("ada")
    backup = place.back_up().path
    place.publish(Metric.MAU)
    place.restore(backup)
    with place.open() as app, app.store.read() as reader:
        (key,) = reader.series_keys()
        state = reader.series_state(key)
        assert state is not None
        assert LimiterState.from_bytes(state.limiter or b"").current == BitMap([0])
        assert state.totals[-1] == 1


# --- refusals --------------------------------------------------------------------------------


def refused(place: Place, file: Path, error: type[Exception], match: str) -> None:
    before = files(place)
    with pytest.raises(error, match=match):
        place.restore(file)
    assert files(place) == before


def test_while_another_process_has_the_store_open_nothing_is_restored(
    place: Place, backup: Path
) -> None:
    with place.open(), pytest.raises(StoreInUseError, match="open in another process"):
        place.restore(backup)
    place.restore(backup)


def test_a_program_of_another_kind_keeps_the_store_from_being_replaced(
    place: Place, backup: Path
) -> None:
    place.given["store_busy_seconds"] = 0.01
    with closing(sqlite3.connect(place.database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("SELECT * FROM meta").fetchall()
        with pytest.raises(StoreInUseError):
            place.restore(backup)
    place.restore(backup)


def test_while_a_store_is_restored_no_process_opens_it(place: Place, backup: Path) -> None:
    with alone(place.directory), pytest.raises(StoreInUseError, match="just being replaced"):
        place.open()
    assert backup.exists()


def test_the_store_itself_is_no_backup(place: Place, backup: Path) -> None:
    assert backup.exists()
    refused(place, place.database, BackupError, "the store itself")


def test_a_backup_made_with_another_secret_is_refused(place: Place, backup: Path) -> None:
    place.given["hash_salt_secret"] = "quite another secret than before"
    refused(place, backup, BackupError, "another secret")


def test_a_store_made_with_another_secret_is_not_replaced(
    place: Place, another: Place, backup: Path
) -> None:
    another.given = {**place.given, "hash_salt_secret": "quite another secret than before"}
    another.active("ada")
    another.given = place.given
    refused(another, backup, BackupError, "the store in place was made with another secret")


def test_without_a_secret_none_is_made(another: Place, backup: Path) -> None:
    another.given = {}
    with pytest.raises(BackupError, match="no secret"):
        another.restore(backup)
    assert not another.directory.exists()


def test_the_secret_may_be_in_its_file(place: Place, another: Place) -> None:
    del place.given["hash_salt_secret"]
    place.active("ada")
    backup = place.back_up().path
    another.directory.mkdir()
    shutil.copy(place.directory / "secret", another.directory)
    another.restore(backup)
    assert another.present() == 1


def test_a_backup_of_a_newer_version_is_refused(place: Place, backup: Path) -> None:
    with closing(sqlite3.connect(backup)) as connection:
        connection.execute("PRAGMA user_version = 99")
    refused(place, backup, StoreVersionError, "schema version 99")


@pytest.mark.parametrize("content", [b"", b"not a database" * 999])
def test_what_is_no_store_is_refused(place: Place, backup: Path, content: bytes) -> None:
    backup.write_bytes(content)
    refused(place, backup, StoreCorruptError, "not a dpdau store")


def test_another_programs_database_is_refused(place: Place, backup: Path) -> None:
    backup.unlink()
    with closing(sqlite3.connect(backup)) as connection:
        connection.execute("CREATE TABLE theirs (id INTEGER)")
    refused(place, backup, StoreCorruptError, "another program")


def test_a_missing_backup_is_refused(place: Place, backup: Path) -> None:
    refused(place, backup.with_name("missing.sqlite3"), Exception, "missing.sqlite3")


def test_a_damaged_backup_is_refused(place: Place, backup: Path) -> None:
    with backup.open("r+b") as file:
        file.seek(4_096)
        file.write(b"\xff" * 40_000)
    refused(place, backup, StoreCorruptError, "Restore a backup")


def test_a_backup_with_a_changed_ledger_is_refused(place: Place, backup: Path) -> None:
    with closing(sqlite3.connect(backup)) as connection, connection:
        connection.execute("DROP TRIGGER ledger_is_never_changed")
        connection.execute("UPDATE ledger SET period = '2025-12'")
    refused(place, backup, BackupError, "row 1")
