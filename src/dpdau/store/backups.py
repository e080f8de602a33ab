"""Backups in a folder: made whole or not at all, and reached by erasures."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from dpdau.errors import BackupError, StoreError
from dpdau.pipeline.ports import Tombstones
from dpdau.store.folders import discard_stale, taking_turns
from dpdau.store.sqlite.partial import erase_from

__all__ = ["BackupFolder"]

_SUFFIX = ".sqlite3"
_PREFIX = "dpdau-"
_NAME = f"{_PREFIX}%Y%m%dT%H%M%SZ{_SUFFIX}"


class BackupFolder:
    """The folder inside DATA_DIR.

    Formal guarantees:
        Whoever was erased is in none of its files once `erase` has returned. A file gets its
        name within `publishing`, after what was erased since its snapshot was taken out of it,
        and `erase` comes after the erasure's commit and takes turns with `publishing`. So either
        the file has its name when `erase` looks, or its last look at the store comes after the
        commit.
    """

    def __init__(self, path: Path, busy_timeout_seconds: float) -> None:
        """Use a folder; it is made when the first backup is.

        Args:
            path: the folder, in the folder of the store.
            busy_timeout_seconds: how long to wait for another process that has a backup open.
        """
        self.path = path
        self._busy_timeout_seconds = busy_timeout_seconds

    def new_path(self, now: datetime) -> Path:
        """Where a backup made at this moment (in UTC) is kept."""
        return self.path / now.strftime(_NAME)

    def files(self) -> list[Path]:
        """The backups, oldest first if they have the names of `new_path`."""
        return sorted(self.path.glob(f"*{_SUFFIX}"))

    def newest_made_at(self) -> datetime | None:
        """When the newest backup was made, in UTC, as its name says; None if there is none.

        Erasures change the files later on, so their own times tell nothing. Files with names of
        another kind than `new_path` gives are left out.
        """
        for file in reversed(self.files()):
            with suppress(ValueError):
                return datetime.strptime(file.name, _NAME).replace(tzinfo=UTC)
        return None

    def require_fit(self, target: Path, data_dir: Path) -> None:
        """Pass if a backup may have that name.

        Raises:
            BackupError: if it is taken, or erasures would not reach it though it is in DATA_DIR.
        """
        if target.exists():
            raise BackupError(target, "it exists already, and a backup replaces nothing")
        inside = target.resolve().is_relative_to(data_dir.resolve())
        reached = target.resolve().parent == self.path.resolve() and target.suffix == _SUFFIX
        if inside and not reached:
            raise BackupError(
                target,
                f"inside DATA_DIR only {self.path}/*{_SUFFIX} is reached by erasures; put the "
                "backup there, or on another disk",
            )

    @contextmanager
    def publishing(self, target: Path) -> Iterator[None]:
        """Take a last look at the store, and give a file its name, while no erasure looks."""
        if target.resolve().parent == self.path.resolve():
            with taking_turns(self.path):
                yield
        else:
            yield

    def erase(self, tombstones: Tombstones, key_check: str | None) -> int:
        """Take people out of every backup, and leave their tombstones there.

        Args:
            tombstones: what they left in the store.
            key_check: the key-check value of the store.

        Returns:
            How many backups there are.

        Raises:
            StoreError: if a backup cannot be changed; the others are changed all the same.
        """
        # What a killed process left half done would never be looked at again.
        discard_stale(self.path.parent)
        if not self.path.exists():
            return 0
        discard_stale(self.path)
        with taking_turns(self.path):
            files = self.files()
            failed: list[StoreError] = []
            for file in files:
                try:
                    erase_from(file, tombstones, key_check, self._busy_timeout_seconds)
                except StoreError as error:
                    failed.append(error)
        if failed:
            raise failed[0]
        return len(files)

    def keep_newest(self, count: int) -> list[Path]:
        """Remove all backups named by `new_path` but the newest; gives those removed."""
        with taking_turns(self.path):
            named = [file for file in self.files() if file.name.startswith(_PREFIX)]
            removed = named[: max(len(named) - count, 0)]
            for file in removed:
                # A journal that a killed process left is of no use without its file.
                for part in self.path.glob(f"{file.name}*"):
                    part.unlink()
        return removed
