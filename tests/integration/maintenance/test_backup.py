"""Backups: whole or not at all, made while others write, and reached by erasures."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from dpdau.bootstrap import backups_of
from dpdau.errors import BackupError, LedgerDamagedError, StoreCorruptError, StoreFullError
from dpdau.store import SqliteStore
from dpdau.store.folders import drafting
from support import Event
from support.places import Place, gone, pseudonym_of, send


def held_bytes(place: Place) -> bytes:
    """Every file of the data directory."""
    return b"".join(file.read_bytes() for file in place.directory.rglob("*") if file.is_file())


def members_in(file: Path) -> set[int]:
    store = SqliteStore(file)
    with store.read() as reader:
        members = reader.members(1, 10**6)
    store.close()
    return set(members)


def test_a_backup_is_one_checked_file_for_its_owner_only(place: Place) -> None:
    place.active("ada", "bob")
    place.publish()
    made = place.back_up()

    assert made.path == place.directory / "backups" / "dpdau-20251120T120000Z.sqlite3"
    assert (made.ledger_rows, made.removed, made.secret_file) == (1, [], None)
    assert made.size_bytes == made.path.stat().st_size > 0
    assert made.path.stat().st_mode & 0o777 == 0o600
    assert made.path.parent.stat().st_mode & 0o777 == 0o700
    assert list(made.path.parent.iterdir()) == [made.path]
    with closing(sqlite3.connect(made.path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_the_newest_backup_is_told_by_its_name_whatever_happened_to_its_file(place: Place) -> None:
    folder = backups_of(place.settings)
    assert folder.newest_made_at() is None
    place.active("ada")
    made = place.back_up()
    made.path.with_name("zebra.sqlite3").write_bytes(made.path.read_bytes())
    os.utime(made.path, (0, 0))

    assert folder.newest_made_at() == datetime(2025, 11, 20, 12, tzinfo=UTC)


def test_a_backup_says_where_the_secret_is_if_that_is_beside_the_data(place: Place) -> None:
    del place.given["hash_salt_secret"]
    place.active("ada")
    assert place.back_up().secret_file == place.directory / "secret"


def test_a_backup_holds_what_was_committed_when_it_began(place: Place) -> None:
    place.active(*(f"user-{number}" for number in range(500)))
    reached: list[tuple[int, int]] = []
    with place.open() as app:

        def interfere(done: int, of: int) -> None:
            if not reached:
                send(app, [Event("late", place.today)])
            reached.append((done, of))

        made = place.back_up(reached=interfere)
    assert reached[-1] == (reached[-1][1], reached[-1][1])
    assert len(members_in(made.path)) == 500


def test_whoever_is_erased_while_a_backup_is_written_is_not_in_it(place: Place) -> None:
    place.active("ada", "bob")
    with place.open() as app:

        def erase(_done: int, _of: int) -> None:
            with patch.object(app.store, "purge"):
                app.erase(["ada"])

        made = place.back_up(reached=erase)
    assert pseudonym_of("ada").tobytes() in made.path.read_bytes(), "in the tombstone"
    assert made.path.read_bytes().count(pseudonym_of("ada").tobytes()) == 1
    assert len(members_in(made.path)) == 1


@pytest.mark.parametrize("keep", [1, 2, 9])
def test_older_backups_are_removed_when_asked_and_others_files_are_not(
    place: Place, keep: int
) -> None:
    place.active("ada")
    own = place.directory / "backups" / "before-the-move.sqlite3"
    place.back_up(to=own)
    made = []
    for _ in range(3):
        made.append(place.back_up().path)
        place.clock.advance(hours=1)
    last = place.back_up(keep=keep)
    kept = [*made, last.path][-keep:]
    assert last.removed == made[: max(4 - keep, 0)]
    assert backups_of(place.settings).files() == sorted([own, *kept])


def test_a_backup_replaces_no_file(place: Place, tmp_path: Path) -> None:
    place.active("ada")
    taken = tmp_path / "taken.sqlite3"
    taken.write_text("mine")
    with pytest.raises(BackupError, match="exists already"):
        place.back_up(to=taken)
    assert taken.read_text() == "mine"


@pytest.mark.parametrize("name", ["copy.sqlite3", "backups/copy.db", "backups/more/copy.sqlite3"])
def test_a_backup_is_not_put_where_erasures_would_miss_it(place: Place, name: str) -> None:
    place.active("ada")
    with pytest.raises(BackupError, match="reached by erasures"):
        place.back_up(to=place.directory / name)


def test_without_a_store_there_is_nothing_to_back_up(place: Place) -> None:
    with pytest.raises(BackupError, match="no store to back up"):
        place.back_up()
    assert not place.directory.exists()


def test_a_store_with_a_damaged_ledger_is_not_backed_up(place: Place) -> None:
    place.active("ada")
    place.publish()
    with closing(sqlite3.connect(place.database)) as connection, connection:
        connection.execute("DROP TRIGGER ledger_is_never_changed")
        connection.execute("UPDATE ledger SET period = '2025-12'")
    with pytest.raises(LedgerDamagedError):
        place.back_up()
    assert list((place.directory / "backups").iterdir()) == []


def test_a_copy_that_came_out_damaged_is_not_kept(place: Place) -> None:
    place.active("ada")
    real = SqliteStore.copy_to

    def tear(self: SqliteStore, path: Path, reached: Any) -> None:
        real(self, path, reached)
        with path.open("r+b") as file:
            file.seek(4_096)
            file.write(os.urandom(40_960))

    with patch.object(SqliteStore, "copy_to", tear), pytest.raises(StoreCorruptError):
        place.back_up()
    assert list((place.directory / "backups").iterdir()) == []


def test_a_full_disk_leaves_no_backup(place: Place) -> None:
    place.active("ada")
    full = OSError(28, "No space left on device")
    with patch("os.fsync", side_effect=full), pytest.raises(StoreFullError):
        place.back_up()
    assert list((place.directory / "backups").iterdir()) == []


def test_an_erasure_reaches_every_backup_in_the_folder(place: Place) -> None:
    place.active("ada", "bob", "eve")
    files = []
    for _ in range(2):
        files.append(place.back_up().path)
        place.clock.advance(hours=1)
    place.erase("ada")
    place.erase("stranger")
    assert all(len(members_in(file)) == 2 for file in files)
    raw = pseudonym_of("ada").tobytes()
    assert held_bytes(place).count(raw) == 4, "in the store, two backups and the journal"
    assert sorted(backups_of(place.settings).path.iterdir()) == files


def test_a_stranger_to_a_backup_takes_nobody_out_of_it(place: Place) -> None:
    place.active("ada")
    file = place.back_up().path
    place.reach_backups(gone("stranger", place.today))
    assert members_in(file) == {0}


def test_a_backup_that_cannot_be_changed_is_named_and_the_others_are_changed(place: Place) -> None:
    place.active("ada", "bob")
    good = place.back_up().path
    bad = good.with_name("a-broken-one.sqlite3")
    bad.write_bytes(b"no database at all" * 500)
    with pytest.raises(StoreCorruptError, match="a-broken-one"):
        place.reach_backups(gone("ada", place.today))
    assert len(members_in(good)) == 1


def test_in_a_backup_from_before_a_rotation_people_are_known_by_index(place: Place) -> None:
    place.active("ada", "bob")
    file = place.back_up().path
    with place.open() as app, app.store.read() as reader:
        (ada,) = reader.user_indices(pseudonym_of("ada")).tolist()
    renamed = gone("known by another name since", place.today, index=ada)
    backups_of(place.settings).erase(renamed, "the key-check value of another secret")
    assert len(members_in(file)) == 1
    assert pseudonym_of("ada").tobytes() not in file.read_bytes()


def test_erasing_before_the_first_backup_touches_nothing(place: Place) -> None:
    place.active("ada")
    assert place.reach_backups(gone("ada", place.today)) == 0
    assert not (place.directory / "backups").exists()


def test_what_a_killed_backup_left_goes_with_the_next_erasure(place: Place) -> None:
    place.active("ada")
    folder = backups_of(place.settings)
    victim = (
        "import os, sys; from pathlib import Path; from dpdau.store.folders import drafting\n"
        "with drafting(Path(sys.argv[1])) as draft:\n"
        "    draft.write_text('half a copy'); os._exit(9)"
    )
    killed = [folder.path / "dead.sqlite3", place.database]
    for target in killed:
        subprocess.run([sys.executable, "-c", victim, target], check=False, timeout=60)  # noqa: S603 - this interpreter on this file's own text
    assert b"half a copy" in held_bytes(place)
    with drafting(folder.path / "alive.sqlite3") as draft:
        draft.write_text("of a living process")
        place.reach_backups(gone("ada", place.today))
        assert draft.exists()
    assert b"half a copy" not in held_bytes(place)
    assert list(folder.path.iterdir()) == []


def test_an_older_erasure_does_not_shorten_what_a_later_one_protects(place: Place) -> None:
    place.active("ada")
    file = place.back_up().path
    place.reach_backups(gone("ada", place.today, index=7))
    place.reach_backups(gone("ada", place.today - timedelta(days=3)))
    store = SqliteStore(file)
    with store.read() as reader:
        kept = reader.tombstones(pseudonym_of("ada"))
        assert kept.erased_on.tolist() == [place.today.toordinal()]
        assert kept.user_indices.tolist() == [7]
        assert reader.index_bound() == 8
    store.close()
