"""Moving the store from its file into a database."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from dpdau.bootstrap import (
    backups_of,
    budget_rules_of,
    calendar_of,
    database_of,
    open_store,
    secret_of,
)
from dpdau.config import Settings
from dpdau.errors import BackupError, StoreBusyError, StoreInUseError, WrongSecretError
from dpdau.hashing import Pseudonymizer
from dpdau.model.calendar import utc_now
from dpdau.pipeline.copying import Copied, copy_store
from dpdau.pipeline.integrity import verify
from dpdau.pipeline.ports import Reader
from dpdau.pipeline.restoring import COPIED_ON
from dpdau.pipeline.rotation import KEY_CHECK
from dpdau.store.folders import alone, put_in_place
from dpdau.store.sqlite.connections import prepare
from dpdau.store.sqlite.faults import translated
from dpdau.store.sqlite.inspection import inspecting
from dpdau.store.sqlite.partial import note_in

__all__ = ["Moved", "move_store"]


# What is the same, besides how much there is, of a store and of a copy as it was made.
_SUMMARIES: tuple[Callable[[Reader], object], ...] = (
    lambda reader: reader.ledger_head(),
    lambda reader: reader.index_bound(),
    lambda reader: reader.erasures(),
    lambda reader: reader.metas() | {COPIED_ON: ""},
)


@dataclass(frozen=True, slots=True)
class Moved:
    """A store that was moved.

    Attributes:
        copied: what it was given.
        former: the file, which is a backup now.
        is_resumed: whether an earlier try had copied it already, and died before its end.
    """

    copied: Copied
    former: Path
    is_resumed: bool


def move_store(
    settings: Settings, url: SecretStr, *, clock: Callable[[], datetime] = utc_now
) -> Moved:
    """Copy the store of DATA_DIR into an empty database, and make a backup of its file.

    The copy is one transaction. The file then becomes a backup, where erasures reach it and no
    process takes it for the store; whoever dies in between moves on with another try.

    Args:
        settings: the configuration of the store to move.
        url: the database.
        clock: gives the time.

    Raises:
        BackupError: if there is no store to move, or the database holds another one.
        StoreInUseError: if another process has the file open.
        WrongSecretError: if the secret is not the store's.
        StoreError: if either cannot be used otherwise.
    """
    path, busy = database_of(settings), settings.store_busy_seconds
    if not path.exists():
        raise BackupError(path, "there is no store to move")
    folder, target = backups_of(settings), settings.model_copy(update={"service_database_url": url})
    former = folder.new_path(clock())
    folder.require_fit(former, settings.data_dir)
    calendar = calendar_of(settings, clock)
    first_kept, _ = calendar.accepted_days()
    with alone(path.parent), closing(open_store(target)) as store:
        _bring_home(path, busy)
        # Whoever erases from the database, once it has the people, finds them in the backup too.
        with folder.publishing(former):
            with inspecting(path, busy) as source, store.write() as transaction:
                source.require_whole()
                _require_secret(settings, source.reader)
                is_resumed = transaction.meta(KEY_CHECK) is not None
                if not is_resumed:
                    copy_store(source.reader, transaction)
                copied = _require_same(path, source.reader, transaction)
                verify(transaction, budget_rules_of(settings), first_kept)
            note_in(path, COPIED_ON, calendar.today().isoformat(), busy)
            put_in_place(path, former)
    return Moved(copied, former, is_resumed=is_resumed)


def _bring_home(path: Path, busy: float) -> None:
    """Let everything be in the one file, and its schema be the newest."""
    try:
        with translated(path, busy):
            prepare(path, busy, journal="DELETE")
    except StoreBusyError:
        raise StoreInUseError(path) from None


def _require_secret(settings: Settings, reader: Reader) -> None:
    secret = secret_of(settings)
    if secret is None or reader.meta(KEY_CHECK) != Pseudonymizer(secret).key_check_value:
        raise WrongSecretError


def _require_same(path: Path, source: Reader, target: Reader) -> Copied:
    """How much a database has, if it is all that the store has and nothing happened to it since."""
    copied = Copied.of(target)
    if copied != Copied.of(source) or any(
        summary(source) != summary(target) for summary in _SUMMARIES
    ):
        raise BackupError(
            path,
            "the database holds another store already, or this one as it was moved before and "
            "has gone on since. Name an empty database, or move the file away if the database "
            "is the store that is in use",
        )
    return copied
