"""PostgreSQL's errors, told in the words of dpdau's own tree."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from psycopg_pool import PoolClosed, PoolTimeout

from dpdau.errors import (
    DatabaseAccessError,
    DatabaseUnreachableError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
)

__all__ = ["translated"]

# Somebody else's lock did not go in time, or was taken in another order: trying again helps.
_BUSY = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)
_ACCESS = (
    errors.InvalidAuthorizationSpecification,
    errors.InsufficientPrivilege,
    errors.InvalidCatalogName,
    errors.ReadOnlySqlTransaction,
)
_PASSING = ("starting up", "shutting down", "recovery mode", "too many", "remaining connection")
_CORRUPT = (errors.DataCorrupted, errors.IndexCorrupted)


@contextmanager
def translated(address: str, busy_timeout_seconds: float) -> Iterator[None]:
    """Raise a `StoreError` in place of any error of PostgreSQL or its driver."""
    try:
        yield
    except (psycopg.Error, PoolTimeout, PoolClosed) as error:
        raise _translation(error, address, busy_timeout_seconds) from error


def _translation(error: Exception, address: str, busy_timeout_seconds: float) -> StoreError:
    reason = _reason(error)
    if isinstance(error, _BUSY):
        return StoreBusyError(busy_timeout_seconds)
    if isinstance(error, errors.DiskFull):
        return StoreFullError(address)
    if isinstance(error, _CORRUPT):
        return StoreCorruptError(address, reason)
    # What is refused when a connection is made has no class of its own in the driver.
    refused = "FATAL" in reason and not any(word in reason for word in _PASSING)
    if isinstance(error, _ACCESS) or refused:
        return DatabaseAccessError(address, reason)
    if isinstance(error, (psycopg.OperationalError, PoolTimeout, PoolClosed)):
        return DatabaseUnreachableError(address, reason)
    return StoreError(f"{address} could not be used: {reason}. Nothing was changed.")


def _reason(error: Exception) -> str:
    """What the server or the driver says, without details: those may hold what rows hold."""
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return said or next(iter(str(error).splitlines()), type(error).__name__)
