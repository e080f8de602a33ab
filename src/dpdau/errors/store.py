"""The store cannot do what was asked."""

from pathlib import Path

from dpdau.errors.base import DpdauError

__all__ = [
    "BackupError",
    "CommitUnknownError",
    "DatabaseAccessError",
    "DatabaseUnfitError",
    "DatabaseUnreachableError",
    "HeadNotKeptError",
    "JournalDamagedError",
    "PositionMovedError",
    "SecretMissingError",
    "StoreBusyError",
    "StoreCorruptError",
    "StoreError",
    "StoreFullError",
    "StoreInUseError",
    "StoreReadOnlyError",
    "StoreVersionError",
    "TooManyFilesError",
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
            f"The store was locked for {waited_seconds:g} s (STORE_BUSY_SECONDS). Nothing was "
            "changed; try again, or find the process that holds the lock."
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

    def __init__(self, place: Path | str = "DATA_DIR") -> None:
        super().__init__(
            f"The disk that holds {place} is full. Nothing was changed; free space, "
            "and it goes on by itself."
        )


class TooManyFilesError(StoreError):
    """The process has as many files and connections open as the system lets it."""

    slug = "too-many-files"
    title = "Too many open files"
    retry_after_seconds = 2

    def __init__(self) -> None:
        super().__init__(
            "The service has as many files and connections open as the system lets it. Nothing "
            "was changed; try again, or raise the limit of open files (ulimit -n, LimitNOFILE) "
            "above twice MAX_CONNECTIONS."
        )


class HeadNotKeptError(StoreError):
    """The ledger grew, and the copy of its head could not follow; values wait for it."""

    slug = "ledger-head-not-kept"
    title = "Copy of the ledger's head not written"

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"The copy of the ledger's head could not be written ({cause.lower()}), so no value "
            "leaves until it can. What the ledger recorded meanwhile stands and is paid for: ask "
            "for the value again, and do not repeat a revision or a raised cap before looking at "
            "the ledger."
        )


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

    def __init__(self, place: Path | str, reason: str) -> None:
        super().__init__(f"{place} is damaged or is not a dpdau store: {reason}. Restore a backup.")


class DatabaseUnreachableError(StoreError):
    """The database server does not answer, or its connection broke."""

    slug = "store-unreachable"
    title = "Database unreachable"
    retry_after_seconds = 2

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"{address} does not answer: {reason}. What was acknowledged before is safe; see that the server "
            "runs and SERVICE_DATABASE_URL names it, then try again."
        )


class CommitUnknownError(StoreError):
    """The connection broke while a transaction committed, so nobody knows whether it did."""

    slug = "commit-unknown"
    title = "Commit unknown"
    retry_after_seconds = 2

    def __init__(self) -> None:
        super().__init__(
            "The connection to the database broke during the commit, so what was asked is done "
            "as a whole or not at all. Ask again: what is done already counts once."
        )


class DatabaseAccessError(StoreError):
    """The database does not let this user in, or not do what is needed."""

    slug = "store-access"
    title = "Database refuses"
    exit_code = 2

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(
            f"{address} refuses: {reason}. Nothing was changed; check user, password and rights "
            "in SERVICE_DATABASE_URL."
        )


class DatabaseUnfitError(StoreError):
    """The database cannot be trusted with a store, or is not for one."""

    slug = "store-unfit"
    title = "Database unfit"
    exit_code = 2

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"{address} is not used: {reason}. Nothing was changed.")


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

    def __init__(self, place: Path | str, found: int, known: int) -> None:
        super().__init__(
            f"{place} has schema version {found}, this program knows up to {known}. "
            "Start the newer version of dpdau that wrote it."
        )


class SecretMissingError(StoreError):
    """The store has a secret, and neither the settings nor the data directory do."""

    slug = "secret-missing"
    title = "Secret missing"
    exit_code = 2

    def __init__(self, store: Path | str, file: Path) -> None:
        super().__init__(
            f"{store} was made with a secret, and there is none now: HASH_SALT_SECRET is not "
            f"set and {file} does not exist. Nothing was changed; put that file back from its "
            "copy, or set HASH_SALT_SECRET to what it held. A new secret would count every person "
            "twice, so none is made."
        )


class WrongSecretError(StoreError):
    """The secret, or the previous one, is not what the store's pseudonyms were made with."""

    slug = "wrong-secret"
    title = "Wrong secret"
    exit_code = 2

    def __init__(self, message: str | None = None) -> None:
        super().__init__(
            message
            or "HASH_SALT_SECRET is not the secret of this store's pseudonyms (where it is not "
            "set, the file `secret` in DATA_DIR holds it). Counting with another one would count "
            "every person twice: set the former secret again. To replace it, set "
            "HASH_SALT_SECRET_PREVIOUS to the former one too."
        )
