"""Disks without room, and places that cannot be written."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyroaring import BitMap

from dpdau.errors import StoreError, StoreFullError, StoreReadOnlyError
from dpdau.store import SqliteStore
from support.stores import DAY

NOBODY = 65_534
DAY_MEMBERS = BitMap(range(0, 60_000, 3))

FILL_A_SMALL_DISK = """
import sys
from pathlib import Path
from pyroaring import BitMap
from dpdau.errors import StoreFullError
from dpdau.store import SqliteStore

# Whoever opens a store has to write a page or two.
ballast = Path(sys.argv[1]) / "ballast"
ballast.write_bytes(bytes(40_000))
store = SqliteStore(Path(sys.argv[1]) / "dpdau.sqlite3")
members = BitMap(range(0, 60_000, 3))
stored = 0
try:
    while True:
        with store.write() as transaction:
            transaction.update_members(stored + 1, members, BitMap())
            transaction.put_meta("days", str(stored + 1))
        stored += 1
except StoreFullError:
    print("full")
with store.read() as reader:
    print(stored, reader.meta("days"), sum(0 in reader.members(day, day) for day in range(1, 99)))
store.check()
store.close()
ballast.unlink()
store = SqliteStore(Path(sys.argv[1]) / "dpdau.sqlite3")
with store.read() as reader:
    print(reader.members(1, stored) == members)
store.close()
"""

MOUNT_AND_RUN = 'mount -t tmpfs -o size=400k tmpfs "$1" && exec "$2" -c "$3" "$1"'


def on_a_small_disk(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the script on a file system of 400 KiB that nobody else sees."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare is not installed")
    command = [unshare, "--map-root-user", "--mount", "sh", "-c", MOUNT_AND_RUN, "sh"]
    done = subprocess.run(  # noqa: S603 - a program of this file
        [*command, directory, sys.executable, FILL_A_SMALL_DISK],
        capture_output=True,
        text=True,
        check=False,
    )
    if "ermission denied" in done.stderr or "not permitted" in done.stderr:
        pytest.skip("file systems may not be mounted here")
    return done


def test_a_full_disk_is_told_and_what_was_acknowledged_stays(tmp_path: Path) -> None:
    done = on_a_small_disk(tmp_path)
    assert done.returncode == 0, done.stderr
    full, counts, whole = done.stdout.splitlines()
    stored, named, found = counts.split()
    assert (full, whole) == ("full", "True")
    assert int(stored) > 3
    assert stored == named == found


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fill(store: SqliteStore, counted: list[int]) -> None:
    while True:
        with store.write() as transaction:
            transaction.update_members(DAY + len(counted), DAY_MEMBERS, BitMap())
        counted.append(1)


def test_a_write_that_the_system_refuses_is_undone_and_the_store_goes_on(path: Path) -> None:
    store = SqliteStore(path)
    counted: list[int] = []
    with files_of_at_most(300_000), pytest.raises(StoreError, match="disk I/O error"):
        fill(store, counted)
    with store.write() as transaction:
        stored = [day for day in range(DAY, DAY + 99) if transaction.members(day, day)]
        assert stored == list(range(DAY, DAY + len(counted)))
        transaction.update_members(DAY + len(counted), DAY_MEMBERS, BitMap())
    store.check()
    store.close()
    assert len(counted) > 3


def test_a_file_at_its_largest_is_full_until_something_is_deleted(path: Path) -> None:
    store = SqliteStore(path)
    with store.write() as transaction:
        transaction.update_members(DAY, DAY_MEMBERS, BitMap())
    store._writer.execute("PRAGMA max_page_count = 60")  # noqa: SLF001 - no room by order
    counted: list[int] = []
    with pytest.raises(StoreFullError):
        fill(store, counted)
    with store.write() as transaction:
        transaction.drop_before(DAY + len(counted))
    with store.write() as transaction:
        transaction.update_members(DAY, DAY_MEMBERS, BitMap())
    store.close()


@contextmanager
def without_privileges() -> Iterator[None]:
    """Act as somebody whom access rights bind, even when the tests run as root."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(me)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory with a store that everyone may enter."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o777)
        yield directory
        directory.chmod(0o777)


def test_a_file_that_may_not_be_written_is_refused(shared: Path) -> None:
    path = shared / "dpdau.sqlite3"
    SqliteStore(path).close()
    path.chmod(0o444)
    before = path.read_bytes()
    with without_privileges(), pytest.raises(StoreReadOnlyError, match="cannot be written"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_directory_that_may_not_be_written_is_refused(shared: Path) -> None:
    path = shared / "dpdau.sqlite3"
    SqliteStore(path).close()
    path.chmod(0o666)
    shared.chmod(0o555)
    with without_privileges(), pytest.raises(StoreReadOnlyError):
        SqliteStore(path)


def test_a_file_that_may_not_be_created_is_refused(shared: Path) -> None:
    shared.chmod(0o555)
    with without_privileges(), pytest.raises(StoreReadOnlyError):
        SqliteStore(shared / "dpdau.sqlite3")
    with without_privileges(), pytest.raises(StoreReadOnlyError):
        SqliteStore(shared / "new" / "dpdau.sqlite3")


def test_a_file_that_may_not_be_read_is_refused(shared: Path) -> None:
    path = shared / "dpdau.sqlite3"
    SqliteStore(path).close()
    path.chmod(0)
    with without_privileges(), pytest.raises(StoreReadOnlyError):
        SqliteStore(path)
