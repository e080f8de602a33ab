"""Connections to the database: what is asked of the server, and the pool."""

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool

from dpdau.errors import DatabaseUnfitError, SettingsError
from dpdau.store.postgres.session import Connection

__all__ = ["address_of", "opened_pool", "require_fit"]

_OLDEST_SERVER = 130_000

# A group being written, readers of a dashboard, upkeep: more than that wait for each other.
_MOST_CONNECTIONS = 16

# The server notices a machine that vanished, and frees what it had locked, within a minute.
_SETTINGS = """
SET lock_timeout = '{lock_milliseconds}ms';
SET tcp_keepalives_idle = 30;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
SET log_parameter_max_length_on_error = 0;
SET client_min_messages = warning;
"""

# "off" acknowledges what a crash may take back.
_DURABLE = "SET synchronous_commit = on"


def address_of(url: str) -> str:
    """A database in words that may be shown: its server and name, no user and no password.

    Raises:
        SettingsError: if the URL is none.
    """
    try:
        known = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        unfit = "SERVICE_DATABASE_URL cannot be understood (its value is not shown); expected"
        raise SettingsError([f"{unfit} postgresql://USER:PASSWORD@HOST:PORT/DATABASE"]) from None
    port = f":{known['port']}" if "port" in known else ""
    host = known.get("host") or "this machine"
    return f"the database {known.get('dbname') or 'of the user'} on {host}{port}"


def opened_pool(url: str, busy_timeout_seconds: float) -> "ConnectionPool[Connection]":
    """Connections that are made when they are wanted, and again when the server was away.

    Args:
        url: the database.
        busy_timeout_seconds: how long to wait for a lock, or for a connection.

    Raises:
        psycopg.OperationalError: if the server cannot be reached, or refuses.
        DatabaseUnfitError: if it would not keep what it acknowledges.
    """

    def configure(connection: Connection) -> None:
        connection.execute(
            _SETTINGS.format(lock_milliseconds=round(busy_timeout_seconds * 1_000)).encode()
        )
        if _setting(connection, "synchronous_commit") == "off":
            connection.execute(_DURABLE)

    # Tried once without the pool, which tells only that it waited in vain.
    with psycopg.connect(url, connect_timeout=_whole_seconds(busy_timeout_seconds)) as connection:
        require_fit(connection, address_of(url))
    return ConnectionPool(
        url,
        min_size=1,
        max_size=_MOST_CONNECTIONS,
        timeout=busy_timeout_seconds,
        configure=configure,
        # A server that was started again closed what the pool holds.
        check=ConnectionPool.check_connection,
        kwargs={"autocommit": True, "connect_timeout": _whole_seconds(busy_timeout_seconds)},
        open=True,
    )


def require_fit(connection: Connection, address: str) -> None:
    """Pass if a server can be trusted with what it acknowledges.

    Raises:
        DatabaseUnfitError: if it is too old, or does not write durably.
    """
    version = connection.info.server_version
    if version < _OLDEST_SERVER:
        raise DatabaseUnfitError(
            address,
            f"its server has version {version // 10_000}, and the oldest that fits is "
            f"{_OLDEST_SERVER // 10_000}",
        )
    for name in ("fsync", "full_page_writes"):
        if _setting(connection, name) == "off":
            raise DatabaseUnfitError(
                address, f"{name} is off, so a crash may take back what was acknowledged"
            )


def _setting(connection: Connection, name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    return str(row[0]) if row else ""


def _whole_seconds(seconds: float) -> int:
    return max(round(seconds), 2)
