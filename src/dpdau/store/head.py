"""The second copy of the ledger's head: in a file, or in memory for tests."""

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dpdau.errors import StoreError, StoreFullError, StoreReadOnlyError

__all__ = ["HeadFile", "MemoryHead"]

_OWNER_ONLY = 0o600
_FULL = {errno.ENOSPC, errno.EDQUOT}
_READ_ONLY = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.EEXIST}


class HeadFile:
    """A small file that is replaced whole, durably, by one process at a time."""

    is_durable = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes | None:
        """The content; None if the file is missing.

        Raises:
            StoreError: if it is there and cannot be read.
        """
        with self._translated():
            try:
                return self._path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def replace(self, change: Callable[[bytes | None], bytes | None]) -> None:
        """Read, ask for the new content, and write it, while no other process does.

        Args:
            change: given the content, or None if the file is missing; returns the new content,
                or None to leave it.

        Raises:
            StoreError: if it cannot be read or written.
        """
        with self._locked():
            content = change(self.read())
            if content is not None:
                with self._translated():
                    self._write(content)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._translated():
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # A file of its own, since the other one is replaced.
            lock = self._path.with_name(f"{self._path.name}.lock")
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, _OWNER_ONLY)
        try:
            with self._translated():
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, content: bytes) -> None:
        draft = self._path.with_name(f"{self._path.name}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(draft, flags, _OWNER_ONLY), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise StoreFullError from error
            if error.errno in _READ_ONLY:
                raise StoreReadOnlyError(self._path) from error
            message = f"{self._path} could not be used: {error.strerror}. See the disk."
            raise StoreError(message) from error


class MemoryHead:
    """A copy that lasts as long as the process, for stores that do too."""

    is_durable = False

    def __init__(self) -> None:
        self._content: bytes | None = None
        self._lock = threading.Lock()

    def read(self) -> bytes | None:
        """The content; None before the first."""
        return self._content

    def replace(self, change: Callable[[bytes | None], bytes | None]) -> None:
        """Ask for the new content, and keep it; None leaves it."""
        with self._lock:
            content = change(self._content)
            if content is not None:
                self._content = content
