"""What is wrong with an installation, or may go wrong, without changing anything.

Nothing here tells how many people there are.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path

from dpdau.bootstrap import (
    backups_of,
    budget_rules_of,
    calendar_of,
    database_of,
    head_of,
    journal_of,
    open_store,
    secret_file_of,
    secret_of,
)
from dpdau.config import Settings, env_file
from dpdau.errors import DpdauError
from dpdau.hashing import Pseudonymizer
from dpdau.maintenance.permissions import is_open, readable, replaceable
from dpdau.model.calendar import Calendar, utc_now
from dpdau.pipeline.guard import contradiction
from dpdau.pipeline.integrity import verify
from dpdau.pipeline.ports import Reader
from dpdau.pipeline.restoring import COPIED_ON
from dpdau.pipeline.rotation import KEY_CHECK
from dpdau.store.sqlite.inspection import Inspection, inspecting

__all__ = ["Finding", "State", "examine"]

_OLD_BACKUP_DAYS = 7
_LITTLE_SPACE_BYTES = 1 << 30


class State(StrEnum):
    """How good something is."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing.

    Attributes:
        check: what was looked at.
        state: how good it is.
        found: what is so, in a sentence.
        remedy: what to do about it; empty if nothing.
    """

    check: str
    state: State
    found: str
    remedy: str = ""


def examine(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> Iterator[Finding]:
    """Look at everything, one finding after another.

    Args:
        settings: the configuration, which is valid.
        clock: gives the time.
    """
    calendar = calendar_of(settings, clock)
    yield _secret(settings)
    yield _keys(settings)
    yield _head_place(settings)
    yield _permissions(settings)
    yield _space(settings)
    if settings.service_database_url is not None:
        yield from _database(settings, calendar)
        yield _journal(settings)
        return
    path = database_of(settings)
    if not path.exists():
        yield Finding("store", State.WARNING, f"{path} does not exist yet", "Send events first.")
        return
    yield from _store(settings, path, calendar)
    yield _journal(settings)
    yield _backups(settings, calendar)


def _secret(settings: Settings) -> Finding:
    file = secret_file_of(settings)
    if settings.hash_salt_secret is not None:
        return Finding("secret", State.OK, "HASH_SALT_SECRET is set")
    is_new = settings.service_database_url is None and not database_of(settings).exists()
    if file.exists() or is_new:
        return Finding(
            "secret",
            State.WARNING,
            f"the secret is in {file} only, beside the data that it protects",
            "Keep a copy apart from the data and its backups, or set HASH_SALT_SECRET: without "
            "it no backup is of any use.",
        )
    return Finding(
        "secret",
        State.PROBLEM,
        f"there is no secret: HASH_SALT_SECRET is not set and {file} is missing",
        "Set the secret that the store was made with, or bring the file back.",
    )


def _keys(settings: Settings) -> Finding:
    keys = (
        settings.service_api_key,
        settings.ingest_api_key,
        settings.read_api_key,
        settings.admin_api_key,
    )
    if any(key is not None for key in keys):
        return Finding("keys", State.OK, "the service asks for a key")
    return Finding(
        "keys",
        State.WARNING,
        "no key is set: every program of this machine may use the service",
        "Set SERVICE_API_KEY, or keys for single scopes.",
    )


def _head_place(settings: Settings) -> Finding:
    head, data_dir = settings.ledger_head_path, settings.data_dir
    if head is not None and not _on_same_disk(head, data_dir):
        return Finding("ledger head", State.OK, "its copy is on another disk than the store")
    return Finding(
        "ledger head",
        State.WARNING,
        "its copy is on the disk of the store: who puts back the whole disk is not found out",
        "Set LEDGER_HEAD_PATH to a file on another disk, and move the present copy there.",
    )


def _on_same_disk(one: Path, other: Path) -> bool:
    return _existing(one).stat().st_dev == _existing(other).stat().st_dev


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    path = path.absolute()
    return next(each for each in (path, *path.parents) if each.exists())


def _permissions(settings: Settings) -> Finding:
    folder = settings.data_dir
    # The copy of the ledger's head and the journal of erasures may be elsewhere.
    elsewhere = head_of(settings).path.parent
    replaced = next(replaceable((folder, elsewhere)), None)
    if replaced is not None:
        return Finding(
            "permissions",
            State.PROBLEM,
            f"others may put files of theirs into {replaced}",
            f"chmod 700 {replaced}",
        )
    exposed = next(readable(_confidential(settings, elsewhere)), None)
    if exposed is not None:
        return Finding(
            "permissions",
            State.PROBLEM,
            f"others may read {exposed}",
            f"chmod 600 {exposed}, and chmod 700 the folder if it holds nothing for others",
        )
    if folder.exists() and is_open(folder):
        return Finding(
            "permissions",
            State.WARNING,
            f"others may enter {folder}, but read no file of it",
            f"chmod 700 {folder}",
        )
    return Finding("permissions", State.OK, f"only the owner can enter {folder}")


def _confidential(settings: Settings, elsewhere: Path) -> Iterator[Path]:
    """The files that hold pseudonyms, activity, secrets or what is made of them."""
    yield from sorted(settings.data_dir.rglob("*"))
    for file in (head_of(settings).path, journal_of(settings).path):
        yield from sorted(elsewhere.glob(f"{file.name}*"))
    secrets = env_file()
    if secrets is not None:
        yield secrets


def _space(settings: Settings) -> Finding:
    free = shutil.disk_usage(_existing(settings.data_dir)).free
    found = f"{free / (1 << 30):,.1f} GiB are free on the disk of {settings.data_dir}"
    database = database_of(settings)
    needed = database.stat().st_size if database.exists() else 0
    if free >= max(_LITTLE_SPACE_BYTES, 2 * needed):
        return Finding("free space", State.OK, found)
    return Finding(
        "free space",
        State.WARNING,
        f"{found}, and a backup and a restore each need room for another store",
        "Free space; a full disk refuses events until there is room.",
    )


def _store(settings: Settings, path: Path, calendar: Calendar) -> Iterator[Finding]:
    try:
        with inspecting(path, settings.store_busy_seconds) as store:
            yield from _file(store)
            if store.is_newest:
                yield from _content(settings, store.reader, calendar)
    except DpdauError as error:
        yield Finding("store", State.PROBLEM, error.message, "See docs/operations.md.")


def _database(settings: Settings, calendar: Calendar) -> Iterator[Finding]:
    try:
        with closing(open_store(settings)) as store, store.read() as reader:
            yield Finding("store", State.OK, "the database answers, and its schema is the newest")
            yield from _content(settings, reader, calendar)
            yield from map(_kept_longer, store.keeps_erased())
    except DpdauError as error:
        yield Finding("store", State.PROBLEM, error.message, "See docs/scaling.md.")


def _kept_longer(reason: str) -> Finding:
    return Finding(
        "traces of erased people",
        State.WARNING,
        f"{reason}, so the server's log keeps for a while what erasures removed",
        "See docs/scaling.md.",
    )


def _file(store: Inspection) -> Iterator[Finding]:
    store.require_whole()
    yield Finding("store", State.OK, "every page of the file is whole")
    if store.is_newest:
        yield Finding("schema", State.OK, f"version {store.version}, the newest")
    else:
        yield Finding(
            "schema",
            State.WARNING,
            f"version {store.version}, which the next start brings up to date",
            "Make a copy of DATA_DIR, then start this version once.",
        )


def _content(settings: Settings, reader: Reader, calendar: Calendar) -> Iterator[Finding]:
    secret = secret_of(settings)
    # That there is none is told before.
    if secret is not None and reader.meta(KEY_CHECK) != Pseudonymizer(secret).key_check_value:
        yield Finding(
            "secret of the store",
            State.PROBLEM,
            "the store was made with another secret than the one in force",
            "Set HASH_SALT_SECRET to the former one.",
        )
    yield _ledger(settings, reader, calendar)
    fault = contradiction(reader, head_of(settings))
    if fault is None:
        yield Finding("rollback", State.OK, "the ledger has all that the copy of its head names")
    else:
        yield Finding("rollback", State.PROBLEM, fault.message, "See docs/ledger.md.")
    waiting = reader.unfinished_erasures()
    if waiting:
        since = f"{waiting[0].requested_at:%Y-%m-%d %H:%M} UTC"
        yield Finding(
            "erasures",
            State.WARNING,
            f"at least one that was requested at {since} is not done yet",
            "It is completed by the running service, or by the next `dpdau erase`.",
        )
    else:
        yield Finding("erasures", State.OK, "every one is done")
    yield _clock(reader, calendar)


def _ledger(settings: Settings, reader: Reader, calendar: Calendar) -> Finding:
    first_kept, _ = calendar.accepted_days()
    try:
        found = verify(reader, budget_rules_of(settings), first_kept)
    except DpdauError as error:
        return Finding("ledger", State.PROBLEM, error.message, "See docs/ledger.md.")
    return Finding("ledger", State.OK, f"its {found.rows:,} rows and the series beside it are true")


def _clock(reader: Reader, calendar: Calendar) -> Finding:
    newest = reader.ledger_head()
    now = calendar.now()
    if newest is not None and newest.recorded_at > now:
        return Finding(
            "clock",
            State.PROBLEM,
            f"it is {now:%Y-%m-%d %H:%M} UTC here, and the newest row of the ledger was written "
            f"at {newest.recorded_at:%Y-%m-%d %H:%M}",
            "Set the clock; days close by it, and tombstones expire by it.",
        )
    return Finding("clock", State.OK, f"it is {now:%Y-%m-%d %H:%M} UTC here, after the newest row")


def _journal(settings: Settings) -> Finding:
    journal = journal_of(settings)
    try:
        if not journal.exists():
            return Finding(
                "journal",
                State.WARNING,
                "there is no journal of erasures",
                "The next start writes it anew from the store.",
            )
        journal.read()
    except DpdauError as error:
        return Finding("journal", State.PROBLEM, error.message, "See docs/erasure.md.")
    return Finding("journal", State.OK, "the journal of erasures is whole")


def _backups(settings: Settings, calendar: Calendar) -> Finding:
    folder = backups_of(settings)
    files = folder.files()
    newest: date | None = None
    for file in files:
        try:
            with inspecting(file, settings.store_busy_seconds) as backup:
                copied_on = backup.reader.meta(COPIED_ON)
                key_check = backup.reader.meta(KEY_CHECK)
        except DpdauError as error:
            return Finding("backups", State.PROBLEM, error.message, "Delete it: it is of no use.")
        secret = secret_of(settings)
        if secret is None or key_check != Pseudonymizer(secret).key_check_value:
            return Finding(
                "backups",
                State.PROBLEM,
                f"{file} was made with another secret: it cannot be put back, and erasures do "
                "not reach everyone in it",
                "Delete it, and make a new one.",
            )
        made = date.fromisoformat(copied_on or str(date.min))
        newest = made if newest is None else max(newest, made)
    if newest is None:
        return Finding(
            "backups",
            State.WARNING,
            f"there is none in {folder.path}",
            "dpdau backup, if none is made elsewhere.",
        )
    age = (calendar.today() - newest).days
    if age > _OLD_BACKUP_DAYS:
        return Finding(
            "backups", State.WARNING, f"the newest is of {newest}, {age} days old", "dpdau backup"
        )
    return Finding("backups", State.OK, f"the newest is of {newest}")
