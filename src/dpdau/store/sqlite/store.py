"""The store in one SQLite file, which several processes may use at once."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dpdau.errors import StoreBusyError, StoreCorruptError, StoreError
from dpdau.store.folders import occupied
from dpdau.store.sqlite.connections import ReaderPool, connect, copy, empty_log, prepare
from dpdau.store.sqlite.faults import translated
from dpdau.store.sqlite.reader import SqliteReader
from dpdau.store.sqlite.session import Session
from dpdau.store.sqlite.snapshot import SnapshotCache
from dpdau.store.sqlite.transaction import SqliteTransaction

__all__ = ["SqliteStore"]


class SqliteStore:
    """Everything in one file, with its write-ahead log beside it.

    Readers see the last commit before they began and wait for nobody. Writers take turns, in
    this process by a lock and among processes by SQLite's. Another process's commits are seen at
    once: what is kept in memory belongs to one generation of the file (see `snapshot`).
    """

    def __init__(self, path: Path, *, busy_timeout_seconds: float = 10) -> None:
        """Open the file, creating it or bringing its schema up to date if need be.

        Args:
            path: the file; its directory is created too.
            busy_timeout_seconds: how long to wait for another process's lock.

        Raises:
            StoreError: as the kind of trouble with the file demands.
        """
        self._path = path
        self._busy_timeout_seconds = busy_timeout_seconds
        self._writing = threading.Lock()
        self._writing_thread: int | None = None
        self._closed = False
        self._is_locked_out = False
        self._cache = SnapshotCache()
        with ExitStack() as held:
            held.enter_context(occupied(path.parent))
            with translated(path, busy_timeout_seconds):
                prepare(path, busy_timeout_seconds)
                self._writer = connect(path, busy_timeout_seconds)
                # The first look makes the files beside it, which stay while a connection is open.
                self._writer.execute("PRAGMA user_version").fetchone()
                self._identities = {file: _identity(file) for file in _files_of(path)}
            self._held = held.pop_all()
        self._readers = ReaderPool(path, busy_timeout_seconds)

    @contextmanager
    def read(self) -> Iterator[SqliteReader]:
        """Open a consistent view; never waits for a writer."""
        with self._viewing() as session:
            yield SqliteReader(session, self._cache.at(session), self._cache.keep)

    @contextmanager
    def write(self, *, shared: bool = False) -> Iterator[SqliteTransaction]:  # noqa: ARG002 - all are exclusive
        """Open the exclusive transaction; durable once the context ends, undone on an error."""
        with self._exclusive():
            self._is_locked_out = True
            self._writer.execute("BEGIN IMMEDIATE")
            self._is_locked_out = False
            try:
                session = Session(self._writer, self._path)
                transaction = SqliteTransaction(session, self._cache.at(session), self._cache.keep)
                yield transaction
                with self._cache.committing():
                    snapshot = transaction.finished()
                    self._writer.execute("COMMIT")
                    self._cache.keep(snapshot)
            finally:
                # After the commit there is nothing left to undo, and this does nothing.
                self._writer.rollback()

    def purge(self) -> None:
        """Make sure that what was deleted can no longer be found in any file of the store.

        What tells of people is overwritten in place (see `cells`), so only the write-ahead log,
        which keeps former pages, has to be copied back and emptied.

        Raises:
            StoreBusyError: if a reader still holds a former state when the waiting time ends.
        """
        with self._exclusive():
            empty_log(self._writer, self._busy_timeout_seconds)

    def copy_to(self, path: Path, reached: Callable[[int, int], None]) -> None:
        """Copy what was last committed to a new file, page by page, while others go on writing.

        A purge waits for it like for any reader. The copy has no write-ahead log beside it.

        Args:
            path: the file, which must not exist.
            reached: told how many pages are done, and of how many.
        """
        with self._viewing() as session, translated(path, self._busy_timeout_seconds):
            session.row("generation")
            copy(session.connection, path, reached)

    def keeps_erased(self) -> list[str]:
        """Nothing does."""
        return []

    def warm(self) -> None:
        """Load what later calls answer quickly from; without it, the first ones take longer."""
        with self.read() as reader:
            reader.warm()

    def check(self) -> None:
        """Fail with a `StoreError` if the store cannot answer."""
        with self.read() as reader:
            reader.ledger_head()

    def close(self) -> None:
        """Release files and connections; the store cannot be used afterwards."""
        with self._writing:
            self._closed = True
            self._readers.close()
            self._writer.close()
            self._held.close()

    @contextmanager
    def _viewing(self) -> Iterator[Session]:
        with translated(self._path, self._busy_timeout_seconds):
            self._require_usable()
            connection = self._readers.take()
            try:
                connection.execute("BEGIN")
                yield Session(connection, self._path)
            finally:
                self._readers.give_back(connection)

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        me = threading.get_ident()
        if self._writing_thread == me:
            message = "A write transaction must end before this thread opens another"
            raise RuntimeError(message)
        arrived = time.monotonic()
        with self._writing, translated(self._path, self._busy_timeout_seconds):
            self._require_usable()
            waited = time.monotonic() - arrived
            if self._is_locked_out and waited >= self._busy_timeout_seconds:
                # Behind one who waited in vain, the others have waited as long already.
                raise StoreBusyError(self._busy_timeout_seconds)
            self._writing_thread = me
            try:
                yield
            finally:
                self._writing_thread = None

    def _require_usable(self) -> None:
        if self._closed:
            message = f"{self._path} was closed."
            raise StoreError(message)
        # Commits to a file that lost its name would be acknowledged and then vanish, and without
        # the shared memory other processes would not know of them.
        for path, identity in self._identities.items():
            if _identity(path) != identity:
                raise StoreCorruptError(path, "it was removed or replaced while in use")


def _files_of(path: Path) -> Iterator[Path]:
    """The file, its write-ahead log, and the memory that its processes share."""
    yield path
    for suffix in ("-wal", "-shm"):
        yield path.with_name(f"{path.name}{suffix}")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
