"""SQLite's named queries, and its migrations cut into statements."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from dpdau.store.scripts import migration_scripts, named_queries

__all__ = ["Migration", "migrations", "query"]

_DATABASE = "sqlite"


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema.

    Attributes:
        version: the schema version that it leads to, 1, 2, 3, …
        statements: its SQL statements, in order.
    """

    version: int
    statements: tuple[str, ...]


def query(name: str) -> str:
    """The text of a named query.

    Raises:
        KeyError: if there is none of that name.
    """
    return named_queries(_DATABASE)[name]


@cache
def migrations() -> tuple[Migration, ...]:
    """Every step of the schema, oldest first."""
    scripts = migration_scripts(_DATABASE).items()
    return tuple(Migration(version, tuple(_statements(script))) for version, script in scripts)


def _statements(script: str) -> Iterator[str]:
    """Cut a script behind each complete statement.

    `Connection.executescript` would commit first, and a migration must be one transaction.
    """
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
