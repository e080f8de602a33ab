"""How SQLite's errors are told."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from dpdau.errors import (
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    TooManyFilesError,
)
from dpdau.store.sqlite.faults import translated

PATH = Path("/data/dpdau.sqlite3")


def failure(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_BUSY, StoreBusyError),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, StoreBusyError),
        (sqlite3.SQLITE_LOCKED, StoreBusyError),
        (sqlite3.SQLITE_FULL, StoreFullError),
        (sqlite3.SQLITE_IOERR_SHMSIZE, StoreFullError),
        (sqlite3.SQLITE_READONLY, StoreReadOnlyError),
        (sqlite3.SQLITE_READONLY_DIRECTORY, StoreReadOnlyError),
        (sqlite3.SQLITE_CANTOPEN, StoreReadOnlyError),
        (sqlite3.SQLITE_PERM, StoreReadOnlyError),
        (sqlite3.SQLITE_CORRUPT, StoreCorruptError),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreCorruptError),
        (sqlite3.SQLITE_NOTADB, StoreCorruptError),
        (sqlite3.SQLITE_IOERR, StoreError),
        (sqlite3.SQLITE_IOERR_WRITE, StoreError),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, StoreError),
    ],
)
def test_each_error_of_sqlite_has_its_own_class(code: int, expected: type[StoreError]) -> None:
    with pytest.raises(StoreError) as raised, translated(PATH, 3):
        raise failure(code)
    assert type(raised.value) is expected
    assert isinstance(raised.value.__cause__, sqlite3.Error)


def test_a_process_that_can_open_no_more_is_told_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", none_left)
    with pytest.raises(TooManyFilesError, match="ulimit -n"), translated(PATH, 3):
        raise failure(sqlite3.SQLITE_CANTOPEN)


def test_an_error_without_a_code_is_told_with_its_text() -> None:
    told = r"dpdau\.sqlite3 could not be used: oh no"
    with pytest.raises(StoreError, match=told), translated(PATH, 3):
        raise sqlite3.ProgrammingError("oh no")


def test_a_busy_store_says_how_long_it_waited() -> None:
    with pytest.raises(StoreBusyError, match=r"for 2\.5 s"), translated(PATH, 2.5):
        raise failure(sqlite3.SQLITE_BUSY)


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(KeyError), translated(PATH, 3):
        raise KeyError
