"""From settings to the wired product: the one place where parts are chosen and joined."""

import errno
import os
import platform
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from dpdau.application import Application
from dpdau.config import Settings
from dpdau.errors import (
    ExtraMissingError,
    SecretMissingError,
    SettingsError,
    StoreFullError,
    StoreReadOnlyError,
    WrongSecretError,
)
from dpdau.hashing import Pseudonymizer, Sampler
from dpdau.model.calendar import Calendar, utc_now
from dpdau.model.counting import Counting, sampling_exponent
from dpdau.model.releases import Metric, SketchKind
from dpdau.pipeline.budget import Budget, BudgetRules
from dpdau.pipeline.caps import CapRaiser
from dpdau.pipeline.erase import Eraser
from dpdau.pipeline.guard import LedgerGuard
from dpdau.pipeline.ingest import Ingestor
from dpdau.pipeline.leaps import LeapGuard
from dpdau.pipeline.planning import Planner
from dpdau.pipeline.ports import ErasureJournal, HeadCopy, Store
from dpdau.pipeline.publish import CREATED_ON, Publisher
from dpdau.pipeline.recovery import Recovery
from dpdau.pipeline.retention import Retention
from dpdau.pipeline.rotation import KEY_CHECK, join_rotation
from dpdau.pipeline.rules import MetricRules
from dpdau.pipeline.source import bind_source
from dpdau.pipeline.upkeep import Upkeep
from dpdau.store import (
    KEPT,
    BackupFolder,
    HeadFile,
    JournalFile,
    MemoryHead,
    MemoryJournal,
    SqliteStore,
)
from dpdau.store.files import sync_name

__all__ = [
    "backups_of",
    "budget_rules_of",
    "build",
    "build_planner",
    "calendar_of",
    "database_of",
    "head_of",
    "journal_of",
    "open_store",
    "secret_file_of",
    "secret_of",
]

_DATABASE_FILE = "dpdau.sqlite3"
_HEAD_FILE = "ledger.head"
_JOURNAL_FILE = "erasures.journal"
_SECRET_FILE = "secret"  # noqa: S105 - the name of a file # nosec B105
_SECRET_BYTES = 32
_SAMPLE = "sample"
_EVERYONE = "everyone"
_BACKUP_FOLDER = "backups"


def build(
    settings: Settings,
    *,
    store: Store | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Application:
    """Open the store and join the parts.

    Args:
        settings: the configuration.
        store: used in place of the one that the settings name; the copy of its ledger's head and
            its journal of erasures are then kept in memory too, unless `LEDGER_HEAD_PATH` is set.
        clock: gives the time.

    Raises:
        StoreError: if the store cannot be opened, or its secrets are others.
    """
    copy: HeadCopy = MemoryHead()
    journal: ErasureJournal = MemoryJournal()
    if store is None or settings.ledger_head_path is not None:
        copy = head_of(settings)
        journal = journal_of(settings)
    store = store or open_store(settings)
    calendar = calendar_of(settings, clock)
    try:
        secret = _secret(settings, store)
        bind_source(store, settings.activity_source)
        sampler = _sampler(store, settings)
        pseudonymizer = _claim(store, secret, settings.hash_salt_secret_previous, calendar)
    except BaseException:
        store.close()
        raise
    budget = Budget(budget_rules_of(settings))
    rules = _metric_rules(settings)
    eraser = Eraser(store, pseudonymizer, calendar, journal, backups_of(settings), sampler=sampler)
    eraser.start()
    guard = LedgerGuard(store, copy)
    guard.start()
    publisher = Publisher(store, calendar, budget, rules, guard, leaps=LeapGuard(clock))
    return Application(
        store=store,
        calendar=calendar,
        ingestor=Ingestor(store, pseudonymizer, calendar, sampler),
        eraser=eraser,
        publisher=publisher,
        budget=budget,
        planner=Planner(calendar, budget.rules, rules, _sketches(settings)),
        cap_raiser=CapRaiser(guard, calendar, budget),
        guard=guard,
        recovery=Recovery(store, calendar, guard),
        upkeep=Upkeep(calendar, eraser, publisher, Retention(store)),
        pseudonymizer=pseudonymizer,
        sampler=sampler,
        sampling_exponent=_counting(settings, settings.sketch_impl).exponent,
        erase_by_default=settings.delete_scope == "user",
    )


def build_planner(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> Planner:
    """A planner for a configuration, without a store: nothing is opened, made or spent.

    Args:
        settings: the configuration.
        clock: gives the time.
    """
    rules = _metric_rules(settings)
    return Planner(
        calendar_of(settings, clock), budget_rules_of(settings), rules, _sketches(settings)
    )


def open_store(settings: Settings) -> Store:
    """The store that the settings name: a database, or the file in `DATA_DIR`.

    Raises:
        ExtraMissingError: if what a database needs is not installed.
        StoreError: if it cannot be opened.
    """
    busy = settings.store_busy_seconds
    if settings.service_database_url is None:
        return SqliteStore(database_of(settings), busy_timeout_seconds=busy)
    try:
        # Imported here, since its driver is an extra.
        from dpdau.store.postgres import PostgresStore  # noqa: PLC0415
    except ImportError:
        raise ExtraMissingError("postgres") from None
    url = settings.service_database_url.get_secret_value()
    return PostgresStore(url, busy_timeout_seconds=busy)


def database_of(settings: Settings) -> Path:
    """Where the store is, if no database is set."""
    return settings.data_dir / _DATABASE_FILE


def head_of(settings: Settings) -> HeadFile:
    """The second copy of the ledger's head.

    Each machine that shares a database has one of its own, and begins it with what it finds.
    """
    path = _head_path(settings)
    if settings.service_database_url is None:
        return HeadFile(path)
    return HeadFile(path, kept_as=f"{KEPT}_by {platform.node()} in {path.absolute()}")


def journal_of(settings: Settings) -> JournalFile:
    """The journal of erasures, beside that copy."""
    return JournalFile(_head_path(settings).with_name(_JOURNAL_FILE))


def backups_of(settings: Settings) -> BackupFolder:
    """The backups that erasures reach."""
    return BackupFolder(settings.data_dir / _BACKUP_FOLDER, settings.store_busy_seconds)


def secret_file_of(settings: Settings) -> Path:
    """Where the secret is kept if none is set."""
    return settings.data_dir / _SECRET_FILE


def secret_of(settings: Settings) -> str | None:
    """The secret, if there is one; none is made."""
    if settings.hash_salt_secret is not None:
        return settings.hash_salt_secret.get_secret_value()
    path = secret_file_of(settings)
    try:
        return _read_secret(path) if path.exists() else None
    except OSError:
        raise StoreReadOnlyError(path) from None


def calendar_of(settings: Settings, clock: Callable[[], datetime]) -> Calendar:
    """What time it is, in the words of the settings."""
    return Calendar(
        timezone=ZoneInfo(settings.timezone),
        lateness=timedelta(hours=settings.lateness_hours),
        retention_days=settings.retention_days,
        period_kind=settings.budget_period,
        clock=clock,
    )


def budget_rules_of(settings: Settings) -> BudgetRules:
    """Caps, and what budgets are composed with."""
    return BudgetRules(
        caps={Metric.DAU: settings.dau_budget_total, Metric.MAU: settings.mau_budget_total},
        delta=settings.delta,
        advanced_delta=settings.advanced_delta,
        rdp_orders=settings.rdp_orders,
    )


def _metric_rules(settings: Settings) -> dict[Metric, MetricRules]:
    return {metric: _rules(settings, metric) for metric in Metric}


def _rules(settings: Settings, metric: Metric) -> MetricRules:
    is_dau = metric is Metric.DAU
    total = settings.dau_budget_total if is_dau else settings.mau_budget_total
    return MetricRules(
        metric=metric,
        window_days=1 if is_dau else settings.mau_window_days,
        mechanism=settings.mechanism_dau if is_dau else settings.mechanism_mau,
        epsilon=settings.epsilon_dau if is_dau else settings.epsilon_mau,
        delta=settings.delta,
        series_epsilon=round(total * settings.series_share, 12),
        presence_runs=settings.presence_runs(metric),
        counting=_counting(settings, settings.sketch_impl),
    )


def _sketches(settings: Settings) -> list[Counting]:
    """Every way to count, as it would be with the other settings."""
    return [_counting(settings, kind) for kind in SketchKind]


def _counting(settings: Settings, kind: SketchKind) -> Counting:
    if kind is SketchKind.THETA:
        return Counting(kind, exponent=sampling_exponent(settings.sketch_sampling_rate))
    if kind is SketchKind.HLLPP:
        return Counting(kind, log2_registers=settings.hll_log2_registers)
    return Counting(kind)


def _head_path(settings: Settings) -> Path:
    return settings.ledger_head_path or settings.data_dir / _HEAD_FILE


def _secret(settings: Settings, store: Store) -> str:
    """The secret from the settings, or the one in the data directory, made at the first start."""
    directory = settings.data_dir
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if settings.hash_salt_secret is not None:
            return settings.hash_salt_secret.get_secret_value()
        path = secret_file_of(settings)
        if not path.exists():
            _require_new(settings, store)
            _create_secret(path)
        return _read_secret(path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StoreFullError(directory) from None
        raise StoreReadOnlyError(directory) from None


def _require_new(settings: Settings, store: Store) -> None:
    """Pass if the store needs no secret that is gone.

    Raises:
        SecretMissingError: if it was made with one.
    """
    with store.read() as reader:
        is_new = reader.meta(KEY_CHECK) is None
    file = secret_file_of(settings)
    # A process that starts at the same time makes the secret before it claims the store.
    if not is_new and not file.exists():
        is_file = settings.service_database_url is None
        raise SecretMissingError(database_of(settings) if is_file else "the database", file)


def _read_secret(path: Path) -> str:
    """The secret in a file.

    Raises:
        WrongSecretError: if it holds none.
    """
    with suppress(UnicodeDecodeError):
        if secret := path.read_text().strip():
            return secret
    raise WrongSecretError(
        f"{path} is empty or holds something else than a secret. Put it back from its copy, or set "
        "HASH_SALT_SECRET to what it held."
    )


def _create_secret(path: Path) -> None:
    """Write a new secret; the file appears whole or not at all, also if two processes start."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(_SECRET_BYTES))
        file.flush()
        os.fsync(file.fileno())
    with suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
    sync_name(path)


def _sampler(store: Store, settings: Settings) -> Sampler | None:
    """Who of all users the store keeps, decided when it is made; None if everyone.

    `set` and `hllpp` keep the same, so they may follow each other on one store.

    Raises:
        SettingsError: if the store keeps other users than the settings ask for.
    """
    wanted = _counting(settings, settings.sketch_impl).exponent
    with store.read() as reader:
        kept = reader.meta(_SAMPLE)
    if kept is None:
        with store.write() as transaction:
            is_new = transaction.meta(KEY_CHECK) is None
            created = str(Sampler.create(wanted)) if is_new and wanted else _EVERYONE
            kept = transaction.meta(_SAMPLE) or created
            transaction.put_meta(_SAMPLE, kept)
    sampler = None if kept == _EVERYONE else Sampler.parse(kept)
    found = 0 if sampler is None else sampler.exponent
    if found != wanted:
        raise SettingsError([_other_users(settings, found)])
    return sampler


def _other_users(settings: Settings, found: int) -> str:
    """Why a store cannot be used, and what to do."""
    if found and settings.sketch_impl is SketchKind.THETA:
        unfit = f"SKETCH_SAMPLING_RATE is {settings.sketch_sampling_rate:g}; expected {2**-found:g}"
    else:
        unfit = f"SKETCH_IMPL is {settings.sketch_impl}; expected {'theta' if found else 'set or hllpp'}"
    reason = (
        "users outside of its sample were never stored"
        if found
        else "it keeps all users, and whom a sample would keep follows from ids, which it does not"
    )
    return (
        f"{unfit}, with which this store was made: {reason}. Set it back, or start on an empty "
        "DATA_DIR at the beginning of an accounting period and send the events again"
    )


def _claim(
    store: Store, secret: str, previous_secret: SecretStr | None, calendar: Calendar
) -> Pseudonymizer:
    """Bind a new store to its secret and day of creation, or check the secrets of an old one."""
    pseudonymizer = Pseudonymizer(secret)
    previous = None
    if previous_secret is not None:
        previous = Pseudonymizer(previous_secret.get_secret_value())
    with store.read() as reader:
        known = reader.meta(KEY_CHECK)
    if known is None and previous is None:
        with store.write() as transaction:
            created_on = transaction.meta(CREATED_ON) or calendar.today().isoformat()
            known = transaction.meta(KEY_CHECK) or pseudonymizer.key_check_value
            transaction.put_meta(CREATED_ON, created_on)
            transaction.put_meta(KEY_CHECK, known)
    is_rotating = join_rotation(
        store,
        pseudonymizer.key_check_value,
        None if previous is None else previous.key_check_value,
        calendar,
    )
    return Pseudonymizer(secret, previous) if is_rotating else pseudonymizer
