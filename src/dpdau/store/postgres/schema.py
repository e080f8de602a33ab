"""The schema: made when it is missing, and brought to the newest version."""

from dpdau.errors import DatabaseUnfitError, StoreVersionError
from dpdau.store.postgres.session import Connection
from dpdau.store.scripts import migration_scripts

__all__ = ["newest_version", "prepare", "version_of"]

# One process at a time; the lock goes with the transaction. The number is "dpda" in ASCII.
_LOCK = "SELECT pg_advisory_xact_lock(1685087329)"
_HAS_VERSION = "SELECT to_regclass('schema_version') IS NOT NULL"
_HAS_OTHERS = """
SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'm') AND nspname = current_schema()
"""


def newest_version() -> int:
    """The version that this program makes."""
    return max(migration_scripts("postgres"))


def version_of(connection: Connection) -> int:
    """The version of a database; 0 if it has no store yet."""
    (has_version,) = connection.execute(_HAS_VERSION).fetchone() or (False,)
    if not has_version:
        return 0
    (version,) = connection.execute("SELECT version FROM schema_version").fetchone() or (0,)
    return int(version)


def prepare(connection: Connection, address: str) -> None:
    """Make the tables in the first schema of the search path, or bring them up to date.

    Raises:
        DatabaseUnfitError: if something else is there already.
        StoreVersionError: if a newer program made them.
        psycopg.Error: if the server refuses.
    """
    with connection.transaction():
        connection.execute(_LOCK)
        found, newest = version_of(connection), newest_version()
        if found > newest:
            raise StoreVersionError(address, found, newest)
        if not found:
            _require_empty(connection, address)
            connection.execute("CREATE TABLE schema_version (version integer NOT NULL)")
            connection.execute("INSERT INTO schema_version VALUES (0)")
        for version, script in migration_scripts("postgres").items():
            if version > found:
                connection.execute(script.encode())
                connection.execute("UPDATE schema_version SET version = %s", [version])


def _require_empty(connection: Connection, address: str) -> None:
    (others,) = connection.execute(_HAS_OTHERS).fetchone() or (0,)
    if others:
        raise DatabaseUnfitError(
            address,
            f"its schema holds {others} tables or views of another program. Name an empty database, or an "
            "empty schema with ?options=-csearch_path%3DNAME at the end of the URL",
        )
