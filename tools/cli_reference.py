"""Write `docs/cli.md` from the commands themselves, or check that it is fresh.

python tools/cli_reference.py            # writes the file
python tools/cli_reference.py --check    # fails, with the difference, if it is stale
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer.main

from dpdau.cli import app
from dpdau.cli.exit_codes import exit_codes
from generated import write_or_check

REFERENCE = Path(__file__).parents[1] / "docs" / "cli.md"

_PREFACE = """\
<!-- Written by `make references` from src/dpdau/cli/; edit the help texts there. -->

# Commands

{help}

Every command works on the store in `DATA_DIR` directly; those that have `--url` work on a server
as well and give the same answers. `python -m dpdau` is the same program.

- `--json` prints one JSON object on standard output and nothing else there: the same object that
  the service answers with. An error is then a problem object (RFC 9457) on standard error.
- Progress, warnings and errors go to standard error; colours are used on a terminal only.
- Settings come from the environment and `.env`; see [configuration.md](configuration.md).

Before a command, `dpdau` itself takes:

{options}
"""


def reference() -> str:
    """The whole document."""
    group: Any = typer.main.get_command(app)
    parts = [_PREFACE.format(help=group.help, options="\n".join(_parameters(group)))]
    for heading, commands in _panels(group).items():
        parts.append(f"## {heading}\n")
        parts += ["\n".join(_command(name, command)) for name, command in commands]
    parts.append("\n".join(_exit_codes()))
    return "\n".join(parts)


def main(arguments: Sequence[str], path: Path = REFERENCE) -> int:
    """Run the command; returns its exit code."""
    return write_or_check(arguments, "Write or check docs/cli.md", path, reference())


def _panels(group: Any) -> dict[str, list[tuple[str, Any]]]:
    """The commands under the headings that `--help` puts them under."""
    panels: dict[str, list[tuple[str, Any]]] = {}
    for name, command in group.commands.items():
        members = getattr(command, "commands", None)
        named = (
            [(name, command)]
            if members is None
            else [(f"{name} {each}", member) for each, member in members.items()]
        )
        panels.setdefault(command.rich_help_panel, []).extend(named)
    return panels


def _command(name: str, command: Any) -> Iterator[str]:
    yield f"### `dpdau {name}`\n"
    yield f"{command.help}\n"
    yield from _parameters(command)
    if command.epilog:
        examples = command.epilog.removeprefix("Example: ").split("; ")
        yield "\n```console\n" + "\n".join(f"$ {example}" for example in examples) + "\n```"
    yield ""


def _parameters(command: Any) -> Iterator[str]:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    yield "| argument or option | |"
    yield "|---|---|"
    for each in arguments:
        yield _row(_cell(each.metavar or each.name), each.help)
    for each in options:
        value = "" if each.is_flag else f" {each.metavar or 'VALUE'}"
        yield _row(_cell(each.opts[-1] + value), each.help + _default(each))


def _default(option: Any) -> str:
    if option.required:
        return " Required."
    if option.is_flag or option.default is None:
        return ""
    return f" Default: {option.default}."


def _row(name: str, meaning: str) -> str:
    return f"| {name} | {meaning} |"


def _cell(text: str) -> str:
    return "`" + text.replace("|", "\\|") + "`"


def _exit_codes() -> Iterator[str]:
    yield "## Exit codes\n"
    yield "| code | meaning |"
    yield "|---:|---|"
    for code, titles in exit_codes().items():
        yield f"| {code} | {'; '.join(titles)} |"
    yield ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
