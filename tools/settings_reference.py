"""Write `docs/configuration.md` from the declarations of the settings, or check that it is fresh.

python tools/settings_reference.py            # writes the file
python tools/settings_reference.py --check    # fails, with the difference, if it is stale
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from dpdau.config import SettingDescription, describe_settings
from generated import write_or_check

REFERENCE = Path(__file__).parents[1] / "docs" / "configuration.md"

_PREFACE = """\
<!-- Written by `make references` from src/dpdau/config/settings.py; edit the declarations there. -->

# Configuration

Every setting is an environment variable, or a line `NAME=value` of a file `.env` in the folder
that dpdau is started in; the environment wins over the file, and options of the command line win
over both. A variable that is empty counts as not set. All have defaults, and none must be set.

A value that cannot be used stops the start with one line that names it and says what it may be. A
line of `.env` that is no setting does too, since a mistyped name would leave a default in force.
"""


def reference(settings: Sequence[SettingDescription]) -> str:
    """The whole document, as Markdown."""
    return "\n".join([_PREFACE, *_tables(settings)])


def main(arguments: Sequence[str], path: Path = REFERENCE) -> int:
    """Run the command; returns its exit code."""
    return write_or_check(
        arguments, "Write or check docs/configuration.md", path, reference(describe_settings())
    )


def _tables(settings: Sequence[SettingDescription]) -> Iterator[str]:
    for group, members in groupby(settings, key=lambda setting: setting.group):
        yield f"## {group}\n"
        yield "| name | default | unit | may be | meaning |"
        yield "|---|---|---|---|---|"
        for setting in members:
            default = "not set" if setting.default is None else f"`{setting.default}`"
            name = f'<a id="{setting.name}"></a>`{setting.name}`'
            cells = (name, default, setting.unit, setting.expected, setting.meaning)
            yield f"| {' | '.join(cells)} |"
        yield ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
