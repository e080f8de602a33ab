"""SQLite's errors, told in the words of dpdau's own tree."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dpdau.errors import (
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
)

__all__ = ["translated"]

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_READ_ONLY = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY}


@contextmanager
def translated(path: Path, busy_timeout_seconds: float) -> Iterator[None]:
    """Raise a `StoreError` in place of any error of SQLite."""
    try:
        yield
    except sqlite3.Error as error:
        raise _translation(error, path, busy_timeout_seconds) from error


def _translation(error: sqlite3.Error, path: Path, busy_timeout_seconds: float) -> StoreError:
    extended_code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    code = extended_code & 0xFF
    if code in _BUSY:
        return StoreBusyError(busy_timeout_seconds)
    # The shared-memory file cannot grow only if the disk has no room for it.
    if code == sqlite3.SQLITE_FULL or extended_code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return StoreFullError()
    if code in _READ_ONLY:
        return StoreReadOnlyError(path)
    if code in _CORRUPT:
        return StoreCorruptError(path, str(error))
    return StoreError(f"{path} could not be used: {error}. Nothing was changed; see the disk.")
