"""One connection within its transaction, and how statements are put to it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import psycopg
from numpy.typing import NDArray

from dpdau.errors import StoreCorruptError
from dpdau.store.scripts import named_queries

__all__ = ["Connection", "Session", "statement"]

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

_DATABASE = "postgres"

# What COPY writes in binary: a head of 19 bytes, then for each row the number of its columns,
# and of each column its length and its bytes, all in network order; -1 in the place of a row ends it.
_COPY_HEAD_BYTES = 19
_COPY_END_BYTES = 2
_ONE_BIGINT = np.dtype([("columns", ">i2"), ("length", ">i4"), ("value", ">i8")])


def statement(name: str) -> bytes:
    """The text of a named query, as the driver takes what is not made up on the way.

    Raises:
        KeyError: if there is none of that name.
    """
    return named_queries(_DATABASE)[name].encode()


@dataclass(frozen=True, slots=True)
class Session:
    """A connection and the database that it leads to.

    Attributes:
        connection: within a transaction.
        address: the database, for errors.
    """

    connection: Connection
    address: str

    def rows(self, name: str, /, **parameters: Any) -> list[Any]:
        """Every row that a named query gives."""
        return self._executed(name, parameters).fetchall()

    def row(self, name: str, /, **parameters: Any) -> Any:
        """The first row that a named query gives; None if there is none."""
        return self._executed(name, parameters).fetchone()

    def run(self, name: str, /, **parameters: Any) -> None:
        """Carry out a named statement."""
        self._executed(name, parameters)

    def bigints(self, name: str) -> NDArray[np.int64]:
        """The one column of all rows that a named COPY gives, without an object for each."""
        with self.connection.cursor().copy(statement(name)) as copy:
            content = b"".join(self._pieces(copy))
        rows = np.frombuffer(content[_COPY_HEAD_BYTES:-_COPY_END_BYTES], dtype=_ONE_BIGINT)
        return rows["value"].astype(np.int64)

    def corrupt(self, reason: str) -> StoreCorruptError:
        """The error that says that the database is damaged."""
        return StoreCorruptError(self.address, reason)

    def _executed(self, name: str, parameters: dict[str, Any]) -> psycopg.Cursor[tuple[Any, ...]]:
        cursor = self.connection.cursor(binary=True)
        return cursor.execute(statement(name), parameters or None)

    def _pieces(self, copy: psycopg.Copy) -> Iterator[bytes]:
        yield from map(bytes, copy)
