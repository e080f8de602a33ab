"""Making a backup while the store is in use."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from dpdau.bootstrap import backups_of, calendar_of, secret_file_of
from dpdau.config import Settings
from dpdau.errors import BackupError
from dpdau.maintenance.store_file import require_file
from dpdau.model.calendar import utc_now
from dpdau.model.ledger import verify_chain
from dpdau.pipeline.restoring import COPIED_ON, erased_since
from dpdau.pipeline.rotation import KEY_CHECK
from dpdau.store import SqliteStore
from dpdau.store.folders import drafting, put_in_place
from dpdau.store.sqlite.inspection import inspecting
from dpdau.store.sqlite.partial import erase_from, note_in

__all__ = ["Backup", "back_up"]


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made and checked.

    Attributes:
        path: the file.
        size_bytes: how large it is.
        ledger_rows: how many rows its ledger has.
        secret_file: the only place of the secret that it needs, if that is a file in DATA_DIR;
            None if it is a setting.
        removed: older backups that were removed.
    """

    path: Path
    size_bytes: int
    ledger_rows: int
    secret_file: Path | None
    removed: list[Path]


def back_up(
    settings: Settings,
    *,
    to: Path | None = None,
    keep: int | None = None,
    reached: Callable[[int, int], None] = lambda _done, _of: None,
    clock: Callable[[], datetime] = utc_now,
) -> Backup:
    """Copy the store to a file, which appears when it is whole and checked, or not at all.

    Args:
        settings: the configuration.
        to: the file; by default a new one in DATA_DIR/backups.
        keep: how many of the backups in DATA_DIR/backups to keep, this one included; None for
            all.
        reached: told how many pages are copied, and of how many.
        clock: gives the time.

    Raises:
        BackupError: if there is no store, or the file cannot be where it is wanted.
        LedgerDamagedError: if the ledger does not fit its hashes.
        StoreError: if the store cannot be read, or the file not be written.
    """
    path, folder = require_file(settings), backups_of(settings)
    if not path.exists():
        raise BackupError(path, "there is no store to back up")
    target = folder.new_path(clock()) if to is None else to
    folder.require_fit(target, settings.data_dir)
    busy = settings.store_busy_seconds
    with (
        closing(SqliteStore(path, busy_timeout_seconds=busy)) as store,
        drafting(target) as draft,
    ):
        today = calendar_of(settings, clock).today()
        store.copy_to(draft, reached)
        note_in(draft, COPIED_ON, today.isoformat(), busy)
        with inspecting(draft, busy) as copy:
            copy.require_whole()
            rows = copy.reader.ledger()
            verify_chain(rows)
        with folder.publishing(target):
            _catch_up(store, draft, today, busy)
            put_in_place(draft, target)
    return Backup(
        path=target,
        size_bytes=target.stat().st_size,
        ledger_rows=len(rows),
        secret_file=None if settings.hash_salt_secret else secret_file_of(settings),
        removed=[] if keep is None else folder.keep_newest(keep),
    )


def _catch_up(store: SqliteStore, draft: Path, copied_on: date, busy: float) -> None:
    """Take out of a copy whoever was erased since it was begun."""
    with inspecting(draft, busy) as copy, store.read() as reader:
        known = {erasure.erasure_id for erasure in copy.reader.erasures()}
        if all(erasure.erasure_id in known for erasure in reader.erasures()):
            return
        since = erased_since(copy.reader, reader.tombstones(), copied_on)
        key_check = reader.meta(KEY_CHECK)
    erase_from(draft, since, key_check, busy)
