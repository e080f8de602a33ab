"""Reading the settings, and saying in one line each what is unfit."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dotenv.parser import parse_stream
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dpdau.config.descriptions import describe
from dpdau.config.settings import SECRETS, Settings
from dpdau.errors import SettingsError

__all__ = ["env_file", "load_settings"]

_MAX_SHOWN_LENGTH = 80


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
        raise SettingsError([f"{env_file()} cannot be read: {error}"]) from None
    if problems:
        raise SettingsError(problems)
    return settings


def _refusal(error: ErrorDetails) -> str:
    """One line on an unfit value; a secret's value is not shown."""
    name = (field := str(error["loc"][0]).lower()).upper()
    if field not in Settings.model_fields:
        known = [field.upper() for field in Settings.model_fields]
        close = difflib.get_close_matches(name, known, n=1)
        return f"{name} is no setting; " + (
            f"did you mean {close[0]}?" if close else "docs/configuration.md has all"
        )
    expected = describe(field).expected
    if field in SECRETS:
        return f"{name} is unfit (its value is not shown); expected {expected}"
    value = str(error["input"])
    shown = value if len(value) <= _MAX_SHOWN_LENGTH else f"{value[: _MAX_SHOWN_LENGTH - 3]}..."
    return f"{name} is {shown!r}; expected {expected}"


def env_file() -> Path | None:
    """The file that settings are read from beside the environment, which may be missing."""
    return Path(str(name)) if (name := Settings.model_config.get("env_file")) else None


def _unreadable_lines() -> Iterator[str]:
    """Lines of `.env` that set nothing: skipped in silence, they would leave a default in force."""
    path = env_file()
    if path is None or not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for binding in parse_stream(file):
            text = binding.original.string
            # It begins with the empty lines before it.
            line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
            if binding.error or (binding.key is not None and binding.value is None):
                yield f"{path} line {line} cannot be read; expected NAME=value"
            elif "\0" in text:
                # No environment can hold it, and no folder can have it in its name.
                yield f"{path} line {line} has a character U+0000; expected text"
