"""The store cannot do what was asked."""

from pathlib import Path

from dpdau.errors.base import DpdauError

__all__ = [
    "BackupError",
    "JournalDamagedError",
    "PositionMovedError",
    "StoreBusyError",
    "StoreCorruptError",
    "StoreError",
    "StoreFullError",
    "StoreInUseError",
    "StoreReadOnlyError",
    "StoreVersionError",
    "WrongSecretError",
]


class StoreError(DpdauError):
    """The store could not do what was asked; what was acknowledged before is safe."""

    slug = "store-unavailable"
    title = "Store unavailable"
    http_status = 503
    exit_code = 10


class StoreBusyError(StoreError):
    """Another process holds the store's write lock for too long."""

    slug = "store-busy"
    title = "Store busy"
    retry_after_seconds = 2

    def __init__(self, waited_seconds: float) -> None:
        super().__init__(
            f"The store was locked by another process for {waited_seconds:g} s. "
            "Nothing was changed; try again, or find the process that holds the lock."
        )


class StoreInUseError(StoreError):
    """What is wanted needs the store for itself, or the store cannot be opened meanwhile."""

    slug = "store-in-use"
    title = "Store in use"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is open in another process, or is just being replaced. Nothing was changed; "
            "stop the service and every other command that works on it, then try again."
        )


class BackupError(StoreError):
    """A backup cannot be made or put back as asked."""

    slug = "backup-refused"
    title = "Backup refused"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}. Nothing was changed.")


class StoreFullError(StoreError):
    """The disk has no room."""

    slug = "store-full"
    title = "Disk full"
    http_status = 507

    def __init__(self) -> None:
        super().__init__("The disk that holds DATA_DIR is full. Nothing was changed; free space.")


class StoreReadOnlyError(StoreError):
    """The store cannot be written."""

    slug = "store-read-only"
    title = "Store read-only"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} cannot be written. Nothing was changed; check the permissions of DATA_DIR."
        )


class StoreCorruptError(StoreError):
    """The store's file is damaged, truncated, or no store at all."""

    slug = "store-corrupt"
    title = "Store corrupt"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is damaged or is not a dpdau store: {reason}. Restore a backup.")


class JournalDamagedError(StoreError):
    """The journal of erasures is not what was written."""

    slug = "journal-damaged"
    title = "Journal of erasures damaged"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path} is damaged: {reason}. Erasures reach the store but none is completed. If the "
            "store was not put back from a backup since, move this file away: it is written anew "
            "from the store. Otherwise put a copy of the file back first."
        )


class PositionMovedError(StoreError):
    """The events of a stream do not follow on what the store has of it."""

    slug = "position-moved"
    title = "Position moved"

    def __init__(self, source: str) -> None:
        super().__init__(
            f"The store has another position in {source} than these events follow on: another "
            "consumer stored some of them, or the store was put back from a backup. Nothing was "
            "changed; read on from where the store is."
        )


class StoreVersionError(StoreError):
    """The store was written by a newer version."""

    slug = "store-version"
    title = "Store too new"

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"{path} has schema version {found}, this program knows up to {known}. "
            "Start the newer version of dpdau that wrote it."
        )


class WrongSecretError(StoreError):
    """The secret, or the previous one, is not what the store's pseudonyms were made with."""

    slug = "wrong-secret"
    title = "Wrong secret"
    exit_code = 2

    def __init__(self, message: str | None = None) -> None:
        super().__init__(
            message
            or "HASH_SALT_SECRET is not the secret of this store's pseudonyms. Counting with "
            "another one would count every person twice: set the former secret again. To replace "
            "it, set HASH_SALT_SECRET_PREVIOUS to the former one too."
        )
