"""The command line as a whole: its commands, and how it starts."""

import io
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dpdau import __version__
from dpdau.cli import (
    accounts,
    consuming,
    erasing,
    ingesting,
    integrity,
    keeping,
    plans,
    publishing,
    rekeying,
    serving,
    simulating,
    sketching,
    spark,
    values,
)
from dpdau.cli.exit_codes import exit_codes_in_short

__all__ = ["app", "main"]

app = typer.Typer(
    name="dpdau",
    epilog=exit_codes_in_short(),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for _group in (
    serving,
    ingesting,
    consuming,
    simulating,
    values,
    publishing,
    erasing,
    rekeying,
    accounts,
    integrity,
    keeping,
    plans,
):
    app.add_typer(_group.commands)
app.add_typer(sketching.commands, name="sketch", rich_help_panel="Account")
app.add_typer(spark.commands, name="spark", rich_help_panel="Publish")


def _print_version(asked: bool) -> None:  # noqa: FBT001 - Typer calls it with the option's value
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _whole(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Count daily and monthly active users with differential privacy, honouring deletions."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: what follows the program's name; by default those of this process.

    Returns:
        The exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        # Letters such as ε must not fail where only ASCII can be shown.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    code: Any = 0
    try:
        app(args=None if arguments is None else list(arguments), prog_name="dpdau")
    except SystemExit as end:
        code = end.code
    return int(code or 0)
