"""The store in a PostgreSQL database, which processes on several machines may share."""

from dpdau.store.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
