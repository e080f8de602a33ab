"""The store in one SQLite file."""

from dpdau.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
