"""The store in a PostgreSQL database."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Self

import psycopg

from dpdau.errors import CommitUnknownError, StoreError, StoreVersionError
from dpdau.store.postgres.connections import address_of, opened_pool
from dpdau.store.postgres.faults import translated
from dpdau.store.postgres.purge import keeps_erased, purge
from dpdau.store.postgres.reader import PostgresReader
from dpdau.store.postgres.schema import newest_version, prepare
from dpdau.store.postgres.session import Connection, Session
from dpdau.store.postgres.transaction import PostgresTransaction

__all__ = ["PostgresStore"]


class PostgresStore:
    """Everything in one schema of a database; nothing of it is kept in memory.

    Readers see the last commit before they began and wait for nobody. Writers take turns, among
    all processes; only those that ingest write side by side.
    """

    def __init__(self, url: str, *, busy_timeout_seconds: float = 10) -> None:
        """Connect, creating the tables or bringing them up to date if need be.

        Args:
            url: the database, as `postgresql://USER:PASSWORD@HOST:PORT/NAME`.
            busy_timeout_seconds: how long to wait for another process's lock, or the server.

        Raises:
            StoreError: as the kind of trouble with the database demands.
        """
        self.address = address_of(url)
        self._busy_timeout_seconds = busy_timeout_seconds
        self._writing_threads: set[int] = set()
        self._closed = False
        with ExitStack() as held, translated(self.address, busy_timeout_seconds):
            self._pool = opened_pool(url, busy_timeout_seconds)
            held.callback(self._pool.close)
            with self._pool.connection() as connection:
                prepare(connection, self.address)
            held.pop_all()

    @contextmanager
    def read(self) -> Iterator[PostgresReader]:
        """Open a consistent view; never waits for a writer."""
        with self._session("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY") as session:
            # What a view sees is settled by its first query.
            self._require_known(session)
            yield PostgresReader(session)

    @contextmanager
    def write(self, *, shared: bool = False) -> Iterator[PostgresTransaction]:
        """Open a transaction; durable once the context ends, undone on an error.

        Args:
            shared: beside others that are shared too.
        """
        me = threading.get_ident()
        if me in self._writing_threads:
            message = "A write transaction must end before this thread opens another"
            raise RuntimeError(message)
        with self._session("BEGIN") as session:
            self._writing_threads.add(me)
            try:
                session.run("take_turn_shared" if shared else "take_turn_alone")
                self._require_known(session)
                yield PostgresTransaction(session)
                self._commit(session)
            finally:
                self._writing_threads.discard(me)

    def purge(self) -> None:
        """Make sure that what was deleted can no longer be found in any file of the store.

        Raises:
            StoreBusyError: if someone still holds a former state when the waiting time ends.
        """
        with self._connection() as connection:
            purge(connection, self._busy_timeout_seconds)

    def keeps_erased(self) -> list[str]:
        """Why traces of what `purge` removed may stay for a while all the same, if they may."""
        with self._connection() as connection:
            return keeps_erased(connection)

    def warm(self) -> None:
        """Nothing to do: the server keeps in memory what it is asked for."""
        self.check()

    def check(self) -> None:
        """Fail with a `StoreError` if the store cannot answer."""
        with self.read() as reader:
            reader.ledger_head()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release connections; the store cannot be used afterwards."""
        self._closed = True
        self._pool.close()

    @contextmanager
    def _session(self, begin: str) -> Iterator[Session]:
        """One transaction; undone unless it was committed."""
        with self._connection() as connection:
            connection.execute(begin.encode())
            try:
                yield Session(connection, self.address)
            finally:
                if not connection.broken:
                    connection.rollback()

    def _commit(self, session: Session) -> None:
        try:
            session.connection.commit()
        except psycopg.OperationalError as error:
            if session.connection.broken:
                raise CommitUnknownError from error
            raise

    def _require_known(self, session: Session) -> None:
        """Pass if no newer program has changed the tables meanwhile."""
        (version,) = session.row("version")
        if version > newest_version():
            raise StoreVersionError(self.address, version, newest_version())

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        if self._closed:
            message = f"{self.address} was closed."
            raise StoreError(message)
        with translated(self.address, self._busy_timeout_seconds):
            connection = self._pool.getconn()
            try:
                yield connection
            finally:
                # A broken one is thrown away and replaced.
                self._pool.putconn(connection)
