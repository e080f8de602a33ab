"""What everything cost: `budget`, `ledger`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from dpdau.cli import output
from dpdau.cli.arguments import metric_named, optional_day
from dpdau.cli.session import Session, command
from dpdau.errors import InvalidValueError
from dpdau.model.ledger_files import LedgerFormat
from dpdau.model.releases import Metric

__all__ = ["commands"]

commands = typer.Typer()

_PANEL = "Account"

_Metric = Annotated[
    str | None, typer.Argument(metavar="[dau|mau]", help="One metric; by default all.")
]


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau budget mau --day 2026-11-19")
@command()
def budget(
    session: Session,
    metric: _Metric = None,
    day: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="A day of the period; by default today. Needs a metric."),
    ] = None,
) -> None:
    """Show what everything published has cost each person, and what is left."""
    if metric is None:
        if day is not None:
            raise InvalidValueError("--day", day, "to stand beside a metric: budget mau --day DAY")
        with session.backend() as backend:
            totals = backend.budgets()
        session.show(totals, output.budgets)
        return
    with session.backend() as backend:
        answer = backend.budget(metric_named(metric), optional_day(day, "--day"))
    session.show(answer, output.budget)


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau ledger --export ledger.jsonl")
@command()
def ledger(
    session: Session,
    metric: Annotated[
        str | None, typer.Option(metavar="dau|mau", help="One metric; by default all.")
    ] = None,
    period: Annotated[
        str | None, typer.Option(metavar="PERIOD", help="One period; by default all.")
    ] = None,
    export: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Write a .jsonl or .csv file from which hashes and sums can be recomputed; "
            "- is JSON Lines on the standard output.",
        ),
    ] = None,
) -> None:
    """Show every plan and value ever published with what it cost, oldest first."""
    asked = None if metric is None else metric_named(metric)
    if export is not None:
        _export(session, export, asked, period)
        return
    with session.backend() as backend:
        answer = backend.ledger(asked, period)
    session.show(answer, output.ledger)


def _export(session: Session, target: str, metric: Metric | None, period: str | None) -> None:
    try:
        form = LedgerFormat("jsonl" if target == "-" else Path(target).suffix[1:])
    except ValueError:
        expected = "a file that ends in .jsonl or .csv, or -"
        raise InvalidValueError("--export", target, expected) from None
    with session.backend() as backend:
        content = backend.ledger_file(form, metric, period)
    if target == "-":
        sys.stdout.buffer.write(content)
        return
    try:
        Path(target).write_bytes(content)
    except OSError as error:
        expected = f"a file that can be written ({error.strerror})"
        raise InvalidValueError("--export", target, expected) from None
    session.show(
        {"file": target, "format": form.value},
        lambda answer: output.sentence(f"Wrote the ledger to {answer['file']}."),
    )
