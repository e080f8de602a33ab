"""How a setting is declared, and the kinds of values that settings have."""

import ipaddress
import math
import re
from enum import StrEnum
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from dpdau.model.counting import sampling_exponent

__all__ = [
    "A_BROKER",
    "A_DATABASE_URL",
    "A_FLIP_BOUND",
    "A_HOST_LIST",
    "A_KEY",
    "A_NAME",
    "A_NETWORK_LIST",
    "A_PARTITION_LIST",
    "A_POSITIVE_NUMBER",
    "A_PROBABILITY",
    "A_SAMPLING_RATE",
    "A_SECRET",
    "A_SUBJECT",
    "BrokerUrl",
    "DatabaseUrl",
    "FlipBound",
    "Hosts",
    "Key",
    "Name",
    "Networks",
    "Orders",
    "Partitions",
    "Positive",
    "Probability",
    "SamplingRate",
    "Secret",
    "Subject",
    "Timezone",
    "choices",
    "setting",
]

_MIN_SECRET_LENGTH = 16
_SERVER = r"(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:]+\])(?::\d{1,5})?"
_BROKER = re.compile(rf"(?:nats|kafka)(?:\+tls)?://{_SERVER}(?:,{_SERVER})*")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SUBJECT = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_MOST_PARTITIONS = 10_000
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")


def setting(group: str, default: Any, expected: str, unit: str = "", **limits: Any) -> Any:
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


def choices(kind: type[StrEnum]) -> str:
    """The values of a kind in words."""
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


def _read_list(value: Any) -> Any:
    """Parts of comma-separated text."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _host(name: str) -> str:
    if not _HOST_NAME.fullmatch(name := name.lower()):
        raise ValueError
    return name


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text, strict=False))


def _read_partitions(value: Any) -> Any:
    """Numbers from comma-separated text with ranges such as `0-3`, ascending."""
    if not isinstance(value, str):
        return value
    numbers: set[int] = set()
    for part in value.split(","):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1)[:_MOST_PARTITIONS])
        if int(last or first) < int(first):
            raise ValueError
    return sorted(numbers)


def _matching(pattern: re.Pattern[str]) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError
        return text

    return AfterValidator(check)


def _read_rate(value: Any) -> Any:
    """A number, or a fraction such as `1/16`."""
    if isinstance(value, str) and value.count("/") == 1:
        numerator, denominator = value.split("/")
        return float(numerator) / (float(denominator) or math.nan)
    return value


def _power_of_two(rate: float) -> float:
    sampling_exponent(rate)
    return rate


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


def _database_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError
    return url


Timezone = Annotated[str, AfterValidator(_known_timezone)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(gt=0, lt=1)]
_Order = Annotated[float, Field(gt=1, allow_inf_nan=False)]
Orders = Annotated[tuple[_Order, ...], NoDecode, BeforeValidator(_read_orders), Field(min_length=1)]
Hosts = Annotated[
    tuple[Annotated[str, AfterValidator(_host)], ...], NoDecode, BeforeValidator(_read_list)
]
Networks = Annotated[
    tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_read_list)
]
Partitions = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=_MOST_PARTITIONS)], ...],
    NoDecode,
    BeforeValidator(_read_partitions),
    Field(min_length=1),
]
BrokerUrl = Annotated[str, _matching(_BROKER)]
Name = Annotated[str, _matching(_NAME)]
Subject = Annotated[str, _matching(_SUBJECT)]
SamplingRate = Annotated[float, BeforeValidator(_read_rate), AfterValidator(_power_of_two)]
FlipBound = Annotated[int, Field(ge=2)] | Literal["unbounded"]
Secret = Annotated[SecretStr, Field(min_length=_MIN_SECRET_LENGTH), AfterValidator(_encodable)]
Key = Annotated[SecretStr, Field(min_length=_MIN_SECRET_LENGTH), AfterValidator(_sendable)]

DatabaseUrl = Annotated[SecretStr, AfterValidator(_encodable), AfterValidator(_database_url)]

A_BROKER = (
    "nats://HOST:PORT, nats+tls://HOST:PORT, kafka://HOST:PORT or kafka+tls://HOST:PORT, more servers "
    "behind commas, and no user or password in it"
)
A_PARTITION_LIST = "comma-separated numbers from 0 to 9999 and ranges such as 0-3"
A_NAME = "letters, digits, '_' and '-'"
A_SUBJECT = "letters, digits, '_' and '-', with dots between"
A_SECRET = f"at least {_MIN_SECRET_LENGTH} characters"
A_POSITIVE_NUMBER = "a number above 0"
A_PROBABILITY = "a number between 0 and 1, both excluded"
A_SAMPLING_RATE = "a power of two from 1/65536 to 1/2, such as 1/16 or 0.0625"
A_DATABASE_URL = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
A_FLIP_BOUND = "a whole number of at least 2, or unbounded"
A_HOST_LIST = "comma-separated host names without ports"
A_NETWORK_LIST = "comma-separated IP addresses or networks such as 10.0.0.0/8"
A_KEY = f"at least {_MIN_SECRET_LENGTH} printable ASCII characters without spaces"
