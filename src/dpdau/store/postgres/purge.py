"""Making the server's files forget what was deleted.

PostgreSQL keeps former versions of rows until a vacuum, and their bytes until something is written
over them. Written anew (`VACUUM FULL`), a table's files hold nothing but what is there. The
write-ahead log holds former versions too: it is switched, and a checkpoint lets the server delete
what is older, where it does not keep that on purpose (docs/scaling.md).
"""

import re
from contextlib import suppress

from psycopg import errors, sql
from psycopg.errors import Diagnostic

from dpdau.errors import StoreBusyError
from dpdau.store.postgres.session import Connection

__all__ = ["keeps_erased", "purge"]

# All that tells of people; the ledger does not, and nothing is ever deleted from it.
_TABLES = ("membership", "users", "tombstones", "series", "erasures")

# "2 dead row versions cannot be removed yet.", in whatever language.
_COUNT = re.compile(r"\d+")


def purge(connection: Connection, busy_timeout_seconds: float) -> None:
    """Write the tables anew, and let the log of former versions go.

    Args:
        connection: outside any transaction.
        busy_timeout_seconds: how long it waits for a table that someone uses.

    Raises:
        StoreBusyError: if a transaction that began before a deletion still runs: whatever it
            may see stays in the files.
        psycopg.Error: if the server refuses.
    """
    kept: list[int] = []

    def noticed(notice: Diagnostic) -> None:
        found = _COUNT.search(notice.message_detail or "")
        if found is not None:
            kept.append(int(found[0]))

    connection.add_notice_handler(noticed)
    try:
        connection.execute("SET client_min_messages = info")
        for table in _TABLES:
            connection.execute(sql.SQL("VACUUM (FULL, VERBOSE) {}").format(sql.Identifier(table)))
    finally:
        connection.remove_notice_handler(noticed)
        connection.execute("SET client_min_messages = warning")
    if len(kept) != len(_TABLES) or any(kept):
        raise StoreBusyError(busy_timeout_seconds)
    # The role may lack the rights; `dpdau doctor` tells.
    with suppress(errors.InsufficientPrivilege):
        connection.execute("SELECT pg_switch_wal()")
    with suppress(errors.InsufficientPrivilege):
        connection.execute("CHECKPOINT")


_KEEPS = """
SELECT reason FROM (VALUES
    (has_function_privilege('pg_switch_wal()', 'EXECUTE'), 'this role may not call pg_switch_wal'),
    (current_setting('is_superuser') = 'on'
        OR EXISTS (
            SELECT FROM pg_roles
            WHERE rolname = 'pg_checkpoint' AND pg_has_role(oid, 'USAGE')
        ),
        'this role may not CHECKPOINT'),
    (current_setting('wal_recycle') = 'off', 'wal_recycle is on'),
    (current_setting('wal_keep_size') = '0', 'wal_keep_size is set'),
    (current_setting('archive_mode') = 'off', 'archive_mode is on'),
    (NOT EXISTS (SELECT FROM pg_replication_slots), 'there are replication slots')
) AS needed (is_so, reason)
WHERE NOT is_so
"""


def keeps_erased(connection: Connection) -> list[str]:
    """Why the server's log keeps what was removed before, in words."""
    return [str(reason) for (reason,) in connection.execute(_KEEPS.encode()).fetchall()]
