"""Putting a backup in the place of the store."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from dpdau.bootstrap import (
    budget_rules_of,
    calendar_of,
    head_of,
    journal_of,
    secret_of,
)
from dpdau.config import Settings
from dpdau.errors import (
    BackupError,
    LedgerDamagedError,
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreInUseError,
)
from dpdau.hashing import Pseudonymizer
from dpdau.maintenance.store_file import require_file
from dpdau.model.calendar import utc_now
from dpdau.model.ledger import verify_chain
from dpdau.pipeline.guard import contradiction
from dpdau.pipeline.integrity import verify
from dpdau.pipeline.ports import Reader, Tombstones, Transaction
from dpdau.pipeline.restoring import COPIED_ON, Remains, erased_since, reapply
from dpdau.pipeline.rotation import KEY_CHECK
from dpdau.store import SqliteStore
from dpdau.store.folders import alone, drafting, put_in_place
from dpdau.store.sqlite.connections import prepare
from dpdau.store.sqlite.faults import translated
from dpdau.store.sqlite.inspection import Inspection, inspecting

__all__ = ["Former", "Restored", "restore"]

_Read = TypeVar("_Read")

_BESIDE = ("-wal", "-shm", "-journal")


class Former(StrEnum):
    """What was in the place of the store, measured by its ledger."""

    NONE = "none"
    UNREADABLE = "unreadable"
    OLDER = "older"
    SAME = "same"
    NEWER = "newer"


@dataclass(frozen=True, slots=True)
class Restored:
    """A backup that was put back.

    Attributes:
        path: the store.
        former: what it replaced.
        ledger_rows: how many rows its ledger has.
        rows_kept: how many of them the backup lacked and the former store had.
        erasures_known: whether it is known who was erased since the backup, and they were erased
            again; if not, their erasure must be requested again.
        stopped: why nothing is released before an operator decides; None if releases go on.
    """

    path: Path
    former: Former
    ledger_rows: int
    rows_kept: int
    erasures_known: bool
    stopped: str | None


def restore(
    settings: Settings,
    file: Path,
    *,
    clock: Callable[[], datetime] = utc_now,
) -> Restored:
    """Put a backup in the place of the store, with no budget and nobody given back.

    Everything happens in a copy of the backup, which then takes the store's name: whoever dies
    on the way leaves the one or the other. The former store is gone afterwards, since it would
    keep people who are erased from the new one.

    Args:
        settings: the configuration.
        file: the backup; it stays as it is.
        clock: gives the time.

    Raises:
        BackupError: if the backup may not be put back, with the reason.
        LedgerDamagedError: if what would be restored is not true.
        StoreInUseError: if another process has the store open.
        StoreError: if the backup or the store cannot be used otherwise.
    """
    path, busy = require_file(settings), settings.store_busy_seconds
    if file.exists() and path.exists() and file.samefile(path):
        raise BackupError(file, "it is the store itself")
    key_check = _key_check(settings, file)
    first_kept, _ = calendar_of(settings, clock).accepted_days()
    with alone(path.parent), drafting(path) as draft:
        if file.with_name(f"{file.name}-journal").exists():
            # An erasure that a crash interrupted within the backup is undone, and made again below.
            with translated(file, busy):
                prepare(file, busy, journal="DELETE")
        with inspecting(file, busy) as backup:
            _require_fit(backup, file, key_check)
            backup.copy_to(draft)
        former = _read_former(path, busy, key_check)
        journal = _read_journal(settings)
        with closing(SqliteStore(draft, busy_timeout_seconds=busy)) as store:
            with store.write() as transaction:
                kind, rows_kept = _take_over(file, transaction, former, journal)
                transaction.drop_before(first_kept.toordinal())
            with store.read() as reader:
                verified = verify(reader, budget_rules_of(settings), first_kept)
                stopped = contradiction(reader, head_of(settings))
        with translated(draft, busy):
            prepare(draft, busy, journal="DELETE")
        if former.remains is None:
            # Nothing of a file that cannot be read may be applied to the one that takes its name.
            for suffix in _BESIDE:
                path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
        put_in_place(draft, path)
    return Restored(
        path=path,
        former=kind,
        ledger_rows=verified.rows,
        rows_kept=rows_kept,
        erasures_known=any(each is not None for each in (former.tombstones, journal)),
        stopped=None if stopped is None else stopped.message,
    )


@dataclass(frozen=True, slots=True)
class _FormerStore:
    """What could be read of the store that is replaced."""

    exists: bool
    remains: Remains | None = None
    tombstones: Tombstones | None = None

    def compared(self, rows: int) -> Former:
        """What it is beside a backup of so many rows, which continue its ledger or end before."""
        if self.remains is None:
            return Former.UNREADABLE if self.exists else Former.NONE
        difference = len(self.remains.ledger) - rows
        if not difference:
            return Former.SAME
        return Former.NEWER if difference > 0 else Former.OLDER


def _key_check(settings: Settings, file: Path) -> str:
    secret = secret_of(settings)
    if secret is None:
        raise BackupError(
            file,
            "there is no secret to use it with; set HASH_SALT_SECRET, or put the file `secret` "
            f"back into {settings.data_dir}",
        )
    return Pseudonymizer(secret).key_check_value


def _require_fit(backup: Inspection, file: Path, key_check: str) -> None:
    """Pass if a backup is whole and this store's."""
    backup.require_whole()
    try:
        verify_chain(backup.reader.ledger())
    except LedgerDamagedError as error:
        raise BackupError(file, f"it cannot be put back: {error.message}") from error
    if backup.reader.meta(KEY_CHECK) != key_check:
        raise BackupError(
            file,
            "it was made with another secret than the one in force, and counting with another "
            "one would count every person twice; set the former secret again",
        )


def _read_former(path: Path, busy: float, key_check: str) -> _FormerStore:
    """Read what the store has that its successor must not lose."""
    if not path.exists():
        return _FormerStore(exists=False)
    try:
        with translated(path, busy):
            # Brings the write-ahead log home, so that none is left beside the successor.
            prepare(path, busy, journal="DELETE")
    except StoreBusyError:
        raise StoreInUseError(path) from None
    except StoreCorruptError:
        return _FormerStore(exists=True)
    known = _attempt(path, busy, lambda reader: reader.meta(KEY_CHECK))
    if known not in {None, key_check}:
        raise BackupError(
            path,
            "the store in place was made with another secret than the backup; move it away if it "
            "is to go",
        )
    tombstones = _attempt(path, busy, lambda reader: reader.tombstones())
    return _FormerStore(
        exists=True, remains=_attempt(path, busy, Remains.of), tombstones=tombstones
    )


def _read_journal(settings: Settings) -> Tombstones | None:
    """The tombstones of the journal; None if it is missing or cannot be read."""
    journal = journal_of(settings)
    try:
        return journal.read() if journal.exists() else None
    except StoreError:
        return None


def _attempt(path: Path, busy: float, read: Callable[[Reader], _Read]) -> _Read | None:
    """Something of a file that may be damaged; None if it cannot be read."""
    try:
        with inspecting(path, busy) as found:
            return read(found.reader)
    except (LedgerDamagedError, StoreCorruptError):
        return None


def _take_over(
    file: Path, transaction: Transaction, former: _FormerStore, journal: Tombstones | None
) -> tuple[Former, int]:
    """Erase again whom the store had erased since, and go on where it was."""
    rows, remains = transaction.ledger(), former.remains
    fork = None if remains is None else remains.diverges_at(rows)
    if fork is not None:
        raise BackupError(
            file,
            f"from row {fork} of the ledger on, it and the store in place have gone different "
            "ways, so that nobody can tell which charges are the same. To put it back all the "
            "same, move the store away first: releases then stop until `dpdau "
            "ledger-acknowledge` has charged what the backup lacks",
        )
    known = [each for each in (former.tombstones, journal) if each is not None]
    is_recent = remains is None or remains.has_erased_since(transaction)
    begun = date.fromisoformat(transaction.meta(COPIED_ON) or str(date.min))
    since = erased_since(transaction, Tombstones.merged(known), begun if is_recent else date.max)
    reapply(transaction, since, transaction.meta(KEY_CHECK))
    kept = 0 if remains is None else remains.hand_over(transaction)
    return former.compared(len(rows)), kept
