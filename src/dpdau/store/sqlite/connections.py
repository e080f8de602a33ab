"""Connections to the file: how it is created, recognised, opened and pooled."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dpdau.errors import (
    StoreBusyError,
    StoreCorruptError,
    StoreReadOnlyError,
    StoreVersionError,
)
from dpdau.store.files import sync_name
from dpdau.store.sqlite.conversions import CONVERSIONS
from dpdau.store.sqlite.session import Session
from dpdau.store.sqlite.statements import migrations

__all__ = [
    "APPLICATION_ID",
    "ReaderPool",
    "connect",
    "copy",
    "empty_log",
    "is_empty",
    "prepare",
    "switch_journal",
]

# "dpda" in ASCII, where SQLite keeps the mark of the program that a file belongs to.
APPLICATION_ID = 0x64706461

_OWNER_ONLY = 0o600
_RETRY_SECONDS = 0.01

# 4 MB, between two looks at the progress.
_PAGES_AT_ONCE = 1_000

# Batches change the same shards again and again; a log of 32 MB lets several of them share the
# work of copying those back. EXTRA is FULL, and where a rollback journal is used, as in backups, it
# syncs the folder once the journal is gone: a journal that comes back after a power cut undoes what
# was committed, such as an erasure.
_SETTINGS = """
PRAGMA synchronous = EXTRA;
PRAGMA secure_delete = ON;
PRAGMA foreign_keys = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA cache_size = -32000;
PRAGMA wal_autocheckpoint = 8000;
"""


def connect(path: Path, busy_timeout_seconds: float) -> sqlite3.Connection:
    """Open a connection that begins and ends transactions only when told.

    Args:
        path: the file, which must exist.
        busy_timeout_seconds: how long a statement waits for another process's lock.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=busy_timeout_seconds,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.executescript(_SETTINGS)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def prepare(path: Path, busy_timeout_seconds: float, *, journal: str = "WAL") -> None:
    """Create the file if it is missing, and bring its schema to the newest version.

    Nothing is written to a file that is not a dpdau store.

    Args:
        path: the file, in a folder that exists.
        busy_timeout_seconds: how long to wait for another process's lock.
        journal: the mode of SQLite's journal. Without a write-ahead log (DELETE) everything is
            in the one file as soon as this returns, and no other process may have it open.

    Raises:
        StoreCorruptError: if the file is no database or belongs to another program.
        StoreReadOnlyError: if it cannot be created or written.
        StoreVersionError: if a newer program made it.
        sqlite3.Error: if SQLite fails otherwise.
    """
    _create(path)
    _glance(path)
    with closing(connect(path, busy_timeout_seconds)) as connection:
        if is_empty(connection, path):
            # SQLite syncs what it writes to a file, and not the name that the file was given here.
            sync_name(path)
            # The mark comes first and alone, so that no other process ever sees a file with
            # content and without it.
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        switch_journal(connection, journal, busy_timeout_seconds)
        if _migrate(connection, path):
            # Former layouts let copies of rows stay behind.
            connection.execute("VACUUM")
            empty_log(connection, busy_timeout_seconds)


def switch_journal(
    connection: sqlite3.Connection, journal: str, busy_timeout_seconds: float
) -> None:
    """Give a file another mode of its journal.

    Two connections that do so at once may each hold a lock that the other needs. SQLite then
    refuses without waiting, so waiting is done here.

    Args:
        connection: outside any transaction.
        journal: DELETE or WAL.
        busy_timeout_seconds: how long to try again.

    Raises:
        sqlite3.OperationalError: if the file is still locked then.
    """
    deadline = time.monotonic() + busy_timeout_seconds
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode = {journal}")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def empty_log(connection: sqlite3.Connection, busy_timeout_seconds: float) -> None:
    """Copy the write-ahead log into the file and cut it to nothing.

    Args:
        connection: outside any transaction.
        busy_timeout_seconds: how long the connection waits for readers.

    Raises:
        StoreBusyError: if a reader still needs the log when the waiting time ends.
    """
    blocked, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if blocked:
        raise StoreBusyError(busy_timeout_seconds)


def _create(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _OWNER_ONLY))
    except FileExistsError:
        # Not opened here: closing any handle of a file drops the locks that other connections
        # of this process hold on it.
        if path.is_dir():
            raise StoreCorruptError(path, "it is a directory") from None
    except OSError as error:
        raise StoreReadOnlyError(path) from error


def copy(source: sqlite3.Connection, path: Path, reached: Callable[[int, int], None]) -> None:
    """Copy what a connection sees to a new file, which has no write-ahead log beside it.

    Args:
        source: within a transaction that has read something. Without it, what others write
            meanwhile would make the copy begin again and again.
        path: the file, which must not exist.
        reached: told how many pages are done, and of how many.
    """
    _create(path)
    with closing(connect(path, 0)) as target:
        source.backup(
            target,
            pages=_PAGES_AT_ONCE,
            progress=lambda _, remaining, total: reached(total - remaining, total),
        )
        target.execute("PRAGMA journal_mode = DELETE")


def _glance(path: Path) -> None:
    """Look whose file it is without touching it.

    Read as immutable, SQLite takes no lock, replays no journal and writes nothing.
    """
    address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        try:
            is_empty(connection, path)
        except sqlite3.DatabaseError as error:
            # After a crash the write-ahead log may hold pages that the file still lacks; only
            # an ordinary connection can tell that from a truncated file.
            if error.sqlite_errorcode != sqlite3.SQLITE_CORRUPT:
                raise


def is_empty(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether nothing has been written yet; fails if the content is another program's."""
    pages, mark = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "application_id")
    )
    if pages and mark != APPLICATION_ID:
        raise StoreCorruptError(path, "it belongs to another program")
    return not pages


def _migrate(connection: sqlite3.Connection, path: Path) -> bool:
    """Bring the schema to the newest version; says whether content was converted."""
    newest = migrations()[-1].version
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > newest:
            raise StoreVersionError(path, found, newest)
        for migration in migrations()[found:]:
            for statement in migration.statements:
                connection.execute(statement)
            if migration.version in CONVERSIONS:
                CONVERSIONS[migration.version](Session(connection, path))
        # Recorded even if nothing changed: on a file that cannot be written, BEGIN IMMEDIATE
        # succeeds and only a real change fails.
        connection.execute(f"PRAGMA user_version = {newest}")
        connection.execute("COMMIT")
    finally:
        connection.rollback()
    return found > 0 and any(version > found for version in CONVERSIONS)


class ReaderPool:
    """Connections that only read; each serves one reader at a time."""

    def __init__(self, path: Path, busy_timeout_seconds: float) -> None:
        self._path = path
        self._busy_timeout_seconds = busy_timeout_seconds
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False

    def take(self) -> sqlite3.Connection:
        """An idle connection, or a new one."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        connection = connect(self._path, self._busy_timeout_seconds)
        connection.execute("PRAGMA query_only = ON")
        return connection

    def give_back(self, connection: sqlite3.Connection) -> None:
        """End the connection's transaction and keep it for the next reader."""
        connection.rollback()
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close idle connections now, and the others as they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
