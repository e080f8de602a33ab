"""SQLite's errors, told in the words of dpdau's own tree."""

import errno
import os
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
    TooManyFilesError,
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
        return StoreFullError(path)
    if code == sqlite3.SQLITE_CANTOPEN and _has_no_descriptor():
        return TooManyFilesError()
    if code in _READ_ONLY:
        return StoreReadOnlyError(path)
    if code in _CORRUPT:
        return StoreCorruptError(path, str(error))
    return StoreError(f"{path} could not be used: {error}. Nothing was changed; see the disk.")


def _has_no_descriptor() -> bool:
    """Whether nothing more can be opened, of which SQLite says only that it failed."""
    try:
        # Never the file itself: closing it would drop the locks of this process on it.
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in {errno.EMFILE, errno.ENFILE}
    return False
