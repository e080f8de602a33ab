"""Reading a file that may be a store, or a copy of one, without changing it in any way."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dpdau.errors import StoreCorruptError, StoreVersionError
from dpdau.store.sqlite.connections import copy, is_empty
from dpdau.store.sqlite.faults import translated
from dpdau.store.sqlite.reader import SqliteReader
from dpdau.store.sqlite.session import Session
from dpdau.store.sqlite.snapshot import Snapshot
from dpdau.store.sqlite.statements import migrations

__all__ = ["Inspection", "inspecting"]

_SETTINGS = """
PRAGMA query_only = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA cache_size = -32000;
"""


@dataclass(frozen=True, slots=True)
class Inspection:
    """A file of this program, opened to be read.

    Attributes:
        version: of its schema, not above the newest.
        reader: its content; for files of the newest version only.
    """

    version: int
    reader: SqliteReader
    _session: Session

    @property
    def is_newest(self) -> bool:
        """Whether its schema is the newest."""
        return self.version == migrations()[-1].version

    def require_whole(self) -> None:
        """Read every page.

        Raises:
            StoreCorruptError: if one is damaged, with the first fault.
        """
        (found,) = self._session.connection.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            raise self._session.corrupt(found)

    def copy_to(self, path: Path) -> None:
        """Copy it to a new file.

        Raises:
            StoreError: if that cannot be written.
        """
        with translated(path, 0):
            copy(self._session.connection, path, lambda _done, _of: None)


@contextmanager
def inspecting(path: Path, busy_timeout_seconds: float) -> Iterator[Inspection]:
    """Open a file in one consistent view.

    Raises:
        StoreCorruptError: if it is no file of this program.
        StoreReadOnlyError: if it cannot be read.
        StoreVersionError: if a newer program made it.
    """
    # Where nobody has the file open, SQLite would leave a log beside it that was not there.
    alone = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
    address = f"{path.absolute().as_uri()}?mode=ro{alone}"
    with (
        translated(path, busy_timeout_seconds),
        closing(
            sqlite3.connect(address, uri=True, timeout=busy_timeout_seconds, isolation_level=None)
        ) as connection,
    ):
        connection.executescript(_SETTINGS)
        if is_empty(connection, path):
            raise StoreCorruptError(path, "it is empty")
        connection.execute("BEGIN")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        newest = migrations()[-1].version
        if version > newest:
            raise StoreVersionError(path, version, newest)
        session = Session(connection, path)
        yield Inspection(version, SqliteReader(session, Snapshot(0), _forget), session)


def _forget(_: Snapshot) -> None:
    """Keep nothing in memory."""
