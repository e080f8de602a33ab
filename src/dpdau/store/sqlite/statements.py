"""SQL from the files beside this package: named queries and numbered migrations."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["Migration", "migrations", "named_queries", "query"]

_FOLDER = resources.files("dpdau.store") / "sql"
_QUERY_NAME = re.compile(r"^-- (\w+) --$", re.MULTILINE)
_MIGRATION_NAME = re.compile(r"^(\d{4})_\w+\.sql$")


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
    return named_queries()[name]


@cache
def migrations() -> tuple[Migration, ...]:
    """Every step of the schema, oldest first."""
    steps = (
        Migration(int(matched[1]), tuple(_statements(file.read_text("utf-8"))))
        for file in _FOLDER.iterdir()
        if (matched := _MIGRATION_NAME.match(file.name))
    )
    return tuple(sorted(steps, key=lambda step: step.version))


@cache
def named_queries() -> dict[str, str]:
    """Every query, by name."""
    text = (_FOLDER / "queries.sql").read_text("utf-8")
    _, *named = _QUERY_NAME.split(text)
    return {name: body.strip() for name, body in zip(named[::2], named[1::2], strict=True)}


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
