"""One connection within its transaction, and how statements are put to it."""

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from dpdau.errors import StoreCorruptError
from dpdau.store.sqlite.statements import query

__all__ = ["Session", "as_json"]


@dataclass(frozen=True, slots=True)
class Session:
    """A connection and the file that it is open on.

    Attributes:
        connection: within a transaction.
        path: the file, for errors.
    """

    connection: sqlite3.Connection
    path: Path

    def rows(self, name: str, /, **parameters: Any) -> list[Any]:
        """Every row that a named query gives."""
        return self.connection.execute(query(name), parameters).fetchall()

    def each(self, name: str, /, **parameters: Any) -> Iterator[Any]:
        """The rows that a named query gives, one after another; nothing may change meanwhile."""
        return iter(self.connection.execute(query(name), parameters))

    def row(self, name: str, /, **parameters: Any) -> Any:
        """The first row that a named query gives; None if there is none."""
        return self.connection.execute(query(name), parameters).fetchone()

    def counter(self, query_name: str, /, **parameters: Any) -> int:
        """The number that a named query gives of a counter, which every store has.

        Raises:
            StoreCorruptError: if this one has not.
        """
        row = self.row(query_name, **parameters)
        if row is None:
            raise self.corrupt("a counter is missing")
        number: int = row[0]
        return number

    def run(self, name: str, /, **parameters: Any) -> None:
        """Carry out a named statement."""
        self.connection.execute(query(name), parameters)

    def run_for_each(self, name: str, parameters: Iterable[dict[str, Any]]) -> None:
        """Carry out a named statement once for each set of parameters."""
        self.connection.executemany(query(name), parameters)

    def corrupt(self, reason: str) -> StoreCorruptError:
        """The error that says that the file is damaged."""
        return StoreCorruptError(self.path, reason)


def as_json(values: Iterable[int]) -> str:
    """Integers as the JSON array that the queries take lists in."""
    return msgspec.json.encode(list(values)).decode()
