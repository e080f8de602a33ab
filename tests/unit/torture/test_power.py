"""What a power cut leaves: everything synced, and no more of the rest than a disk might keep."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from random import Random  # noqa: TID251 - what chance keeps, no noise

import pytest

from _interpose import Interposer, library
from _power import Cut, Kept, cut_power


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def lived(root: Path, *texts: str, syncs_lie: bool = False) -> None:
    """Let processes write one after the other, and die without closing anything."""
    for text in texts:
        with Interposer(root.parent / "control", root, undo=root.parent / "undo") as interposer:
            interposer.syncs_lie = syncs_lie
            died = subprocess.run(  # noqa: S603 - this interpreter on this file's own text
                [sys.executable, "-c", f"import os, sqlite3\n{text}\nos._exit(9)"],
                env={"LD_PRELOAD": str(library()), **interposer.environment},
                cwd=root,
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
            )
        assert died.returncode == 9, died.stderr


def cut(root: Path, kept: Kept = Kept.NOTHING, seed: int = 1) -> Cut:
    return cut_power(root, root.parent / "undo", Random(seed), kept)  # noqa: S311 - as above


def content(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


SYNC_FOLDER = "os.fsync(os.open('.', os.O_RDONLY))\n"
ONE = "one = os.open('one', os.O_CREAT | os.O_RDWR)\n"


def test_what_was_synced_stays_and_what_was_not_goes(root: Path) -> None:
    lived(
        root,
        ONE + "os.write(one, b'synced'); os.fsync(one)\n" + SYNC_FOLDER,
        ONE
        + "os.pwrite(one, b'lost and longer', 3); os.ftruncate(one, 2); os.pwrite(one, b'x', 9)",
    )
    assert content(root) == {"one": b"sy" + bytes(7) + b"x"}
    assert cut(root) == Cut(writes=3, names=0, kept=Kept.NOTHING)
    assert content(root) == {"one": b"synced"}
    # The log has begun anew: nothing more is lost.
    assert cut(root) == Cut(writes=0, names=0, kept=Kept.NOTHING)


def test_names_are_lost_unless_their_folder_was_synced(root: Path) -> None:
    (root / "old").write_text("old")
    (root / "gone").write_text("gone")
    changes = (
        "os.mkdir('folder')\n"
        "new = os.open('folder/new', os.O_CREAT | os.O_RDWR)\n"
        "os.write(new, b'new'); os.fsync(new)\n"
        "os.rename('folder/new', 'old'); os.unlink('gone'); os.rmdir('folder')\n"
        "os.link('old', 'also')\n"
    )
    lived(root, changes)
    assert content(root) == {"old": b"new", "also": b"new"}
    cut(root)
    assert content(root) == {"old": b"old", "gone": b"gone"}
    assert not (root / "folder").exists()
    lived(root, changes + SYNC_FOLDER)
    cut(root)
    assert content(root) == {"old": b"new", "also": b"new"}


def test_a_file_that_was_emptied_is_filled_again(root: Path) -> None:
    (root / "one").write_text("all of it")
    lived(root, "open('one', 'w').write('less')")
    cut(root)
    assert content(root) == {"one": b"all of it"}


@pytest.mark.parametrize("kept", [Kept.BLOCKS, Kept.BEFORE])
def test_chance_keeps_some_of_what_was_not_synced(root: Path, kept: Kept) -> None:
    blocks = 8
    (root / "one").write_bytes(b"a" * 4096 * blocks)
    seen = set()
    for seed in range(4):
        lived(root, ONE + f"for n in range({blocks}): os.pwrite(one, b'b' * 4096, n * 4096)")
        assert cut(root, kept, seed).writes == blocks
        found = content(root)["one"]
        states = [found[start : start + 4096] for start in range(0, len(found), 4096)]
        assert set(states) <= {b"a" * 4096, b"b" * 4096}
        assert len(states) == blocks
        if kept is Kept.BEFORE:
            assert states == sorted(states, reverse=True)
        seen.add(tuple(states))
        (root / "one").write_bytes(b"a" * 4096 * blocks)
    assert len(seen) > 1


def test_a_truncation_is_lost_with_all_that_came_after_it_or_not_at_all(root: Path) -> None:
    before = b"a" * 4096 * 4
    seen = set()
    for seed in range(12):
        (root / "one").write_bytes(before)
        lived(root, ONE + "os.ftruncate(one, 0); os.pwrite(one, b'b' * 32, 0)")
        cut(root, Kept.BLOCKS, seed)
        seen.add(content(root)["one"])
    assert seen == {before, b"", bytes(32), b"b" * 32}


def test_sqlite_survives_the_loss_of_a_log_that_was_emptied_and_begun_again(root: Path) -> None:
    life = (
        "db = sqlite3.connect('db', isolation_level=None)\n"
        "db.execute('PRAGMA synchronous = FULL'); db.execute('PRAGMA journal_mode = WAL')\n"
        "db.execute('CREATE TABLE t (x)'); db.execute('PRAGMA wal_checkpoint(TRUNCATE)')\n"
        "for n in range(5): db.execute('INSERT INTO t VALUES (1)')\n"
        "db.execute('PRAGMA wal_checkpoint(TRUNCATE)')\n"
        # Dies with the header of the next log, and no more, on its way to the disk.
        "log = os.open('db-wal', os.O_RDWR); os.pwrite(log, os.urandom(32), 0)\n"
    )
    for seed in range(30):
        lived(root, life)
        cut(root, Kept.BLOCKS, seed)
        with closing(sqlite3.connect(root / "db")) as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (5,)
        for name in content(root):
            (root / name).unlink()


def test_sqlite_keeps_its_promise_unless_syncs_lie(root: Path) -> None:
    def committed() -> int:
        with closing(sqlite3.connect(root / "db")) as connection:
            return int(connection.execute("SELECT count(*) FROM t").fetchone()[0])

    begin = "db = sqlite3.connect('db', isolation_level=None)\n"
    create = begin + (
        "db.execute('PRAGMA journal_mode = WAL'); db.execute('CREATE TABLE t (x)')\n" + SYNC_FOLDER
    )
    insert = begin + "db.execute('PRAGMA synchronous = FULL')\n"
    insert += "for n in range(20): db.execute('REPLACE INTO t VALUES (zeroblob(3000))')"
    lived(root, create, insert)
    for seed, kept in enumerate(Kept):
        cut(root, kept, seed)
        assert committed() == 20
    (root.parent / "control").unlink()
    lived(root, insert, syncs_lie=True)
    cut(root)
    assert committed() < 40


def test_a_torn_end_of_the_log_is_passed_over(root: Path) -> None:
    (root / "one").write_text("before")
    lived(root, ONE + "os.write(one, b'after!')")
    (log,) = (root.parent / "undo").glob("*.log")
    held = log.read_bytes()
    log.write_bytes(held + held[:-1])
    assert cut(root).writes == 1
    assert content(root) == {"one": b"before"}
