"""The second copy of the ledger's head: in a file, or in memory for tests."""

import threading
from collections.abc import Callable
from pathlib import Path

from dpdau.store.files import locked, replace_durably, sync, translated

__all__ = ["KEPT", "HeadFile", "MemoryHead"]

KEPT = "ledger_head_kept"
"""What the one copy of a store that one machine uses is kept as."""


class HeadFile:
    """A small file that is replaced whole, durably, by one process at a time."""

    def __init__(self, path: Path, kept_as: str = KEPT) -> None:
        """Use a file.

        Args:
            path: the file, which may be missing.
            kept_as: the name under which the store remembers that there is this copy.
        """
        self.path = path
        self.kept_as = kept_as
        self._synced: bytes | None = None

    def read(self) -> bytes | None:
        """The content; None if the file is missing.

        Raises:
            StoreError: if it is there and cannot be read.
        """
        with translated(self.path):
            try:
                return self.path.read_bytes()
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
        with locked(self.path):
            found = self.read()
            content = change(found)
            with translated(self.path):
                if content is not None:
                    replace_durably(self.path, content)
                    self._synced = content
                elif found != self._synced:
                    # Its name may come from a try that failed to sync it, here or elsewhere.
                    sync(self.path.parent)
                    self._synced = found


class MemoryHead:
    """A copy that lasts as long as the process, for stores that do too."""

    kept_as = None

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
