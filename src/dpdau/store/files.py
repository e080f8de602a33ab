"""Files beside the store: changed durably, by one process at a time, with clear faults."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dpdau.errors import StoreError, StoreFullError, StoreReadOnlyError, TooManyFilesError

__all__ = ["locked", "replace_durably", "sync", "sync_name", "translated"]

_OWNER_ONLY = 0o600
_FULL = {errno.ENOSPC, errno.EDQUOT}
_MANY = {errno.EMFILE, errno.ENFILE}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST}


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the system's errors about a file into a `StoreError`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFullError(path) from error
        if error.errno in _MANY:
            raise TooManyFilesError from error
        if error.errno in _READ_ONLY:
            raise StoreReadOnlyError(path) from error
        message = f"{path} could not be used: {error.strerror}. See the disk."
        raise StoreError(message) from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes and threads out of a file, through a lock file beside it.

    Raises:
        StoreError: if the lock file cannot be used.
    """
    with translated(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A file of its own, since the other one is replaced.
        lock = path.with_name(f"{path.name}.lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, _OWNER_ONLY)
    try:
        with translated(path):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace_durably(path: Path, content: bytes) -> None:
    """Let a file have this content, or the former one if that fails at any moment.

    Raises:
        OSError: if it cannot be written.
    """
    draft = path.with_name(f"{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(draft, flags, _OWNER_ONLY), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_name(path)


def sync_name(path: Path) -> None:
    """Make a name durable, and that of its folder, which may be as new.

    Raises:
        OSError: if the folder cannot be synced.
    """
    sync(path.parent)
    # A folder above it that others may not read was made by others, and long ago.
    with suppress(PermissionError):
        sync(path.parent.absolute().parent)


def sync(path: Path) -> None:
    """Make the content of a file or a folder durable.

    Raises:
        OSError: if it cannot be synced.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
