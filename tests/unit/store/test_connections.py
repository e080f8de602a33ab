"""Switching the mode of the journal while others do so too."""

import sqlite3
from typing import cast

import pytest

from dpdau.store.sqlite.connections import switch_journal


class LockedConnection:
    """Fails a number of times, as SQLite does when two connections stand in each other's way."""

    def __init__(self, failures: int, code: int = sqlite3.SQLITE_BUSY) -> None:
        self.failures = failures
        self.code = code
        self.statements: list[str] = []

    def execute(self, statement: str) -> None:
        self.statements.append(statement)
        if len(self.statements) <= self.failures:
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = self.code
            raise error


def switch(connection: LockedConnection, busy_timeout_seconds: float) -> None:
    switch_journal(cast("sqlite3.Connection", connection), "WAL", busy_timeout_seconds)


def test_a_file_that_is_locked_for_a_moment_is_tried_again() -> None:
    connection = LockedConnection(failures=2)
    switch(connection, 600)
    assert connection.statements == ["PRAGMA journal_mode = WAL"] * 3


def test_a_file_that_stays_locked_is_an_error_once_the_waiting_time_is_over() -> None:
    connection = LockedConnection(failures=10**9)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        switch(connection, -1)
    assert len(connection.statements) == 1


def test_another_error_is_not_waited_for() -> None:
    connection = LockedConnection(failures=1, code=sqlite3.SQLITE_FULL)
    with pytest.raises(sqlite3.OperationalError):
        switch(connection, 600)
    assert len(connection.statements) == 1
