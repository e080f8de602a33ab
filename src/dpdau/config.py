"""The settings: the only place that reads the environment and an optional `.env` file.

Each setting says its default, its unit, what it may be and what it means; the reference in
`docs/configuration.md` is generated from these declarations.
"""

import difflib
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dotenv.parser import parse_stream
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from dpdau.errors import SettingsError
from dpdau.model.calendar import PeriodKind
from dpdau.model.releases import Mechanism, Metric, SketchKind

__all__ = ["SettingDescription", "Settings", "describe_settings", "load_settings"]

_LONGEST_PERIOD_DAYS = {PeriodKind.MONTH: 31, PeriodKind.QUARTER: 92, PeriodKind.YEAR: 366}
_KEYS = ("service_api_key", "ingest_api_key", "read_api_key", "admin_api_key")
_SECRETS = ("hash_salt_secret", "hash_salt_secret_previous", *_KEYS)
_MIN_SECRET_LENGTH = 16
_MAX_SHOWN_LENGTH = 80

# --- how a setting is declared and checked ---------------------------------------------------


def _setting(group: str, default: Any, expected: str, unit: str = "", **limits: Any) -> Any:
    """Declare a setting; its meaning is the text under it.

    Args:
        group: the heading that the reference puts it under.
        default: its value when nothing is set.
        expected: what it may be, for the reference and for refusals.
        unit: what its number counts.
        limits: what pydantic checks of it.
    """
    extra: dict[str, Any] = {"group": group, "unit": unit, "expected": expected}
    return Field(default, json_schema_extra=extra, **limits)


def _choices(kind: type[StrEnum]) -> str:
    *others, last = kind
    return f"{', '.join(others)} or {last}" if others else str(last)


def _known_timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):
        # An OSError stands for a folder of the zone database, such as `Europe`.
        raise ValueError from None
    return name


def _read_orders(value: Any) -> list[float]:
    """Numbers from comma-separated text, increasing and without repetitions."""
    parts = value.split(",") if isinstance(value, str) else value
    return sorted({float(part) for part in parts})


def _encodable(secret: SecretStr) -> SecretStr:
    """Refuse bytes of the environment that are no UTF-8, with a UnicodeEncodeError."""
    secret.get_secret_value().encode()
    return secret


def _sendable(key: SecretStr) -> SecretStr:
    """Refuse a key that an HTTP header cannot carry as it is."""
    text = key.get_secret_value()
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise ValueError
    return key


_Timezone = Annotated[str, AfterValidator(_known_timezone)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Probability = Annotated[float, Field(gt=0, lt=1)]
_Order = Annotated[float, Field(gt=1, allow_inf_nan=False)]
_Orders = Annotated[
    tuple[_Order, ...], NoDecode, BeforeValidator(_read_orders), Field(min_length=1)
]
_FlipBound = Annotated[int, Field(ge=2)] | Literal["unbounded"]
_Secret = Annotated[SecretStr, Field(min_length=_MIN_SECRET_LENGTH), AfterValidator(_encodable)]
_Key = Annotated[SecretStr, Field(min_length=_MIN_SECRET_LENGTH), AfterValidator(_sendable)]

_A_SECRET = f"at least {_MIN_SECRET_LENGTH} characters"
_A_POSITIVE_NUMBER = "a number above 0"
_A_PROBABILITY = "a number between 0 and 1, both excluded"
_A_FLIP_BOUND = "a whole number of at least 2, or unbounded"
_A_KEY = f"at least {_MIN_SECRET_LENGTH} printable ASCII characters without spaces"


# --- the settings ----------------------------------------------------------------------------


class Settings(BaseSettings):
    """Everything that can be configured; the variable of a field has its name in capitals.

    Use `load_settings` to make one: it reports every unfit value as a `SettingsError`.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = _setting("Data", Path("data"), "a folder; it is made if missing")
    """Where the store is kept, and the secret if none is set."""
    ledger_head_path: Path | None = _setting("Data", None, "a file; it is made if missing")
    """Where the ledger's head is copied, beside the journal of erasures; by default in DATA_DIR."""
    timezone: _Timezone = _setting("Data", "UTC", "a name of the IANA time zone database")
    """The zone whose midnights separate days."""
    hash_salt_secret: _Secret | None = _setting("Data", None, _A_SECRET)
    """The key of the pseudonyms; when unset, one is made at the first start and kept in DATA_DIR."""
    hash_salt_secret_previous: _Secret | None = _setting("Data", None, _A_SECRET)
    """The secret before HASH_SALT_SECRET, while a rotation runs; see docs/rotation.md."""
    delete_scope: Literal["day", "user"] = _setting("Data", "day", "day or user")
    """What an event with op "-" takes away, if it does not say: the user's day, or the user."""
    lateness_hours: int = _setting("Data", 6, "a whole number from 0 to 720", "hours", ge=0, le=720)
    """How long a day stays open after its end, for events that arrive late; a \
published value never changes, and six hours let the devices and jobs of a night report."""
    retention_days: int = _setting(
        "Data", 400, "a whole number from 1 to 36500", "days", ge=1, le=36_500
    )
    """How long activity and tombstones are kept; events dated before that are refused."""
    sketch_impl: SketchKind = _setting("Data", SketchKind.SET, _choices(SketchKind))
    """How distinct users are counted: `set` is exact."""

    mau_window_days: int = _setting(
        "Privacy", 30, "a whole number from 1 to 366", "days", ge=1, le=366
    )
    """The trailing days that a value of MAU counts, the end day included."""
    budget_period: PeriodKind = _setting("Privacy", PeriodKind.MONTH, _choices(PeriodKind))
    """The accounting period: how long one budget must last."""
    dau_budget_total: _Positive = _setting("Privacy", 3.0, _A_POSITIVE_NUMBER, "ε")
    """What all DAU values of one period may cost one user."""
    mau_budget_total: _Positive = _setting("Privacy", 3.5, _A_POSITIVE_NUMBER, "ε")
    """What all MAU values of one period may cost one user."""
    delta: _Probability = _setting("Privacy", 1e-6, _A_PROBABILITY, "δ")
    """The probability with which a metric's guarantee for one period may fail."""
    mechanism_dau: Mechanism = _setting("Privacy", Mechanism.CONTINUAL, _choices(Mechanism))
    """How DAU is made private: one plan for the whole period, or noise for each release."""
    mechanism_mau: Mechanism = _setting("Privacy", Mechanism.CONTINUAL, _choices(Mechanism))
    """How MAU is made private."""
    series_share: float = _setting(
        "Privacy", 0.8, "a number above 0 and at most 1", "share of the budget", gt=0, le=1
    )
    """What a continual series takes of its metric's budget; the rest is for releases on demand."""
    epsilon_dau: _Positive = _setting("Privacy", 0.3, _A_POSITIVE_NUMBER, "ε")
    """What one DAU release costs that belongs to no continual series."""
    epsilon_mau: _Positive = _setting("Privacy", 0.5, _A_POSITIVE_NUMBER, "ε")
    """What one MAU release costs that belongs to no continual series."""
    w_bound: _FlipBound | None = _setting("Privacy", None, _A_FLIP_BOUND, "flips")
    """How often a user's presence in a series may change over a period before further returns \
are no longer counted; holds for both metrics, unless the metric's own bound is set."""
    w_bound_dau: _FlipBound = _setting("Privacy", "unbounded", _A_FLIP_BOUND, "flips")
    """The bound of the DAU series."""
    w_bound_mau: _FlipBound = _setting("Privacy", 4, _A_FLIP_BOUND, "flips")
    """The bound of the MAU series."""
    advanced_delta: _Probability = _setting("Privacy", 1e-7, _A_PROBABILITY, "δ")
    """The δ that advanced composition adds in budget reports."""
    rdp_orders: _Orders = _setting(
        "Privacy", (2.0, 4.0, 8.0, 16.0, 32.0), "comma-separated numbers above 1", "α"
    )
    """The Rényi orders that budget reports show."""

    service_host: str = _setting("Service", "127.0.0.1", "an address or host name", min_length=1)
    """The address to listen on; beyond loopback at least one key must be set."""
    service_port: int = _setting("Service", 8000, "a whole number from 0 to 65535", ge=0, le=65_535)
    """The port to listen on; 0 takes any free one."""
    service_api_key: _Key | None = _setting("Service", None, _A_KEY)
    """The key that may do everything."""
    ingest_api_key: _Key | None = _setting("Service", None, _A_KEY)
    """The key that may send events and erase users."""
    read_api_key: _Key | None = _setting("Service", None, _A_KEY)
    """The key that may read releases and budgets."""
    admin_api_key: _Key | None = _setting("Service", None, _A_KEY)
    """The key that may publish, revise, and read the ledger and the metrics."""
    rate_limit_per_minute: int = _setting(
        "Service", 60_000, "a whole number of at least 0", "requests a minute", ge=0
    )
    """The most requests that one client may send in a minute; 0 for no limit."""
    max_body_bytes: int = _setting(
        "Service", 32 * 1024 * 1024, "a whole number of at least 1024", "bytes", ge=1024
    )
    """The largest request body, measured after decompression."""
    max_batch_events: int = _setting(
        "Service", 100_000, "a whole number of at least 1", "events", ge=1
    )
    """The most events that one request may hold."""
    max_waiting_events: int = _setting(
        "Service", 500_000, "a whole number of at least 1", "events", ge=1
    )
    """The most events that may wait to be written before requests are turned away."""
    store_busy_seconds: _Positive = _setting("Service", 10.0, _A_POSITIVE_NUMBER, "seconds")
    """How long to wait while another process writes to the store."""

    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "Logs and examples", "info", "debug, info, warning or error"
    )
    """The least severe messages that are logged."""
    log_format: Literal["console", "json"] = _setting(
        "Logs and examples", "console", "console or json"
    )
    """Whether logs are written for people or for machines."""
    example_dataset_path: Path | None = _setting(
        "Logs and examples", None, "a file with CDNOW's columns: customer, date, units, amount"
    )
    """The purchase log that `make demo` reads; when unset, the one in the package `lifetimes`."""

    def presence_runs(self, metric: Metric) -> int | None:
        """How many runs of presence a series counts per user and period; None for no limit.

        A user is absent before the period, so w flips are ⌊w/2⌋ whole runs.
        """
        own = f"w_bound_{metric}"
        bound = getattr(self, own)
        if self.w_bound is not None and own not in self.model_fields_set:
            bound = self.w_bound
        return bound // 2 if isinstance(bound, int) else None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        """Pass if the settings fit together.

        Raises:
            SettingsError: with one line for each that does not.
        """
        problems = [*self._unfit_budgets(), *self._unfit_data(), *self._unfit_service()]
        if problems:
            raise SettingsError(problems)
        return self

    def _unfit_budgets(self) -> Iterator[str]:
        for metric in Metric:
            per_release, total = f"epsilon_{metric}", f"{metric}_budget_total"
            if getattr(self, per_release) > getattr(self, total):
                yield self._unfit(per_release, f"at most {self._quoted(total)}")
        if self.advanced_delta > self.delta:
            yield self._unfit("advanced_delta", f"at most {self._quoted('delta')}")

    def _unfit_data(self) -> Iterator[str]:
        period_days = _LONGEST_PERIOD_DAYS[self.budget_period]
        if self.retention_days < self.mau_window_days + period_days:
            yield self._unfit(
                "retention_days",
                f"at least {self.mau_window_days + period_days}: the window of "
                f"{self._quoted('mau_window_days')} plus the {period_days} days of the longest "
                f"{self.budget_period}",
            )

    def _unfit_service(self) -> Iterator[str]:
        if not _is_loopback(self.service_host) and all(getattr(self, key) is None for key in _KEYS):
            yield self._unfit(
                "service_host",
                "a loopback address such as 127.0.0.1 while no key is set: anyone could use the "
                "service. Set SERVICE_API_KEY, or keys for single scopes, to listen beyond",
            )
        given = [name for name in _SECRETS if getattr(self, name) is not None]
        for one, other in combinations(given, 2):
            if getattr(self, one) == getattr(self, other):
                yield f"{other.upper()} equals {one.upper()}; expected a value of its own"

    def _unfit(self, name: str, expected: str) -> str:
        return f"{name.upper()} is '{getattr(self, name)}'; expected {expected}"

    def _quoted(self, name: str) -> str:
        return f"{name.upper()} ({getattr(self, name)})"


def load_settings(**overrides: Any) -> Settings:
    """Read the settings: overrides first, then the environment, then `.env`, then defaults.

    Args:
        overrides: values by field name, which win; None stands for "not given".

    Raises:
        SettingsError: with one line for every value that is unfit, and for every line of `.env`
            that is no setting.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        problems = list(_unreadable_lines())
        settings = Settings(**given)
    except ValidationError as error:
        # Keyed by name, since the members of a union each report the same value.
        lines = {str(item["loc"][0]): _refusal(item) for item in error.errors()}
        raise SettingsError([*problems, *lines.values()]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"{_env_file()} cannot be read: {error}"]) from None
    if problems:
        raise SettingsError(problems)
    return settings


# --- what is said of settings ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SettingDescription:
    """What the reference says of one setting.

    Attributes:
        name: the environment variable.
        group: the heading it belongs under.
        default: its default as one would write it; None if there is none.
        unit: what its number counts; empty if nothing.
        expected: what it may be.
        meaning: one sentence.
    """

    name: str
    group: str
    default: str | None
    unit: str
    expected: str
    meaning: str


def describe_settings() -> list[SettingDescription]:
    """All settings, in the order of the reference."""
    return [_describe(name) for name in Settings.model_fields]


def _describe(name: str) -> SettingDescription:
    field = Settings.model_fields[name]
    extra: Any = field.json_schema_extra
    return SettingDescription(
        name=name.upper(),
        group=extra["group"],
        default=None if field.default is None else _written(field.default),
        unit=extra["unit"],
        expected=extra["expected"],
        meaning=str(field.description),
    )


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _refusal(error: ErrorDetails) -> str:
    """One line on an unfit value; a secret's value is not shown."""
    name = (field := str(error["loc"][0]).lower()).upper()
    if field not in Settings.model_fields:
        known = [field.upper() for field in Settings.model_fields]
        close = difflib.get_close_matches(name, known, n=1)
        return f"{name} is no setting; " + (
            f"did you mean {close[0]}?" if close else "docs/configuration.md has all"
        )
    expected = _describe(field).expected
    if field in _SECRETS:
        return f"{name} is unfit (its value is not shown); expected {expected}"
    value = str(error["input"])
    shown = value if len(value) <= _MAX_SHOWN_LENGTH else f"{value[: _MAX_SHOWN_LENGTH - 3]}..."
    return f"{name} is {shown!r}; expected {expected}"


def _env_file() -> Path | None:
    return Path(str(name)) if (name := Settings.model_config.get("env_file")) else None


def _unreadable_lines() -> Iterator[str]:
    """Lines of `.env` that set nothing: skipped in silence, they would leave a default in force."""
    path = _env_file()
    if path is None or not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for binding in parse_stream(file):
            if binding.error or (binding.key is not None and binding.value is None):
                yield f"{path} line {binding.original.line} cannot be read; expected NAME=value"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
