"""What is said of settings: the reference is made of it."""

from dataclasses import dataclass
from typing import Any

from dpdau.config.settings import Settings

__all__ = ["SettingDescription", "describe", "describe_settings"]


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
    return [describe(name) for name in Settings.model_fields]


def describe(name: str) -> SettingDescription:
    """The setting of a field's name."""
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
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
