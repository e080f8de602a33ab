"""Questions about days and their values: `dau`, `mau`, `series`, `explain`."""

import csv
import sys
from typing import Annotated

import typer

from dpdau.cli import output, prose
from dpdau.cli.arguments import Day, MetricName, Window, metric_named, readable
from dpdau.cli.backend import Answer
from dpdau.cli.session import Session, command
from dpdau.model.calendar import parse_day
from dpdau.model.releases import Metric

__all__ = ["commands"]

commands = typer.Typer()

_PANEL = "Ask"


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau dau 2026-11-19")
@command()
def dau(session: Session, day: Day) -> None:
    """Show how many people were active on a day, publishing the value if it is new."""
    with session.backend() as backend, session.waiting("Publishing"):
        answer = backend.release(Metric.DAU, parse_day(day), None)
    session.show(answer, output.release)


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau mau 2026-11-19 --window 7")
@command()
def mau(session: Session, day: Day, window: Window = None) -> None:
    """Show how many people were active in the days up to a day, publishing the value if it is new."""
    with session.backend() as backend, session.waiting("Publishing"):
        answer = backend.release(Metric.MAU, parse_day(day), window)
    session.show(answer, output.release)


@commands.command(
    rich_help_panel=_PANEL,
    epilog="Example: dpdau series dau --start 2026-11-01 --end 2026-11-19 --csv",
)
@command()
def series(
    session: Session,
    metric: MetricName,
    *,
    start: Annotated[str, typer.Option(metavar="DAY", help="The first day.")],
    end: Annotated[str, typer.Option(metavar="DAY", help="The last day.")],
    window: Window = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
) -> None:
    """Show the values of a range of days, publishing closed days of a continual series."""
    first, last = parse_day(start, "--start"), parse_day(end, "--end")
    with session.backend() as backend, session.waiting("Publishing"):
        answer = backend.series(metric_named(metric), first, last, window)
    if as_csv and not session.as_json:
        with session.reading_answer():
            _write_csv(answer)
    else:
        session.show(answer, output.series)


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau explain dau-1d-2026-11-19")
@command()
def explain(
    session: Session,
    release_id: Annotated[
        str, typer.Argument(metavar="RELEASE_ID", help="A published value, as it names itself.")
    ],
) -> None:
    """Say in words what a published number means, how sure it is, what it cost and whom it protects."""
    with session.backend() as backend:
        answer = backend.explain(readable(release_id, "RELEASE_ID"))
    session.show(answer, prose.explanation)


def _write_csv(answer: Answer) -> None:
    # Imported here, since loading the product takes longer than `--help` should.
    from dpdau.views import ValueView  # noqa: PLC0415

    columns = [name for name in ValueView.model_fields if name != "guarantee"]
    writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(answer["releases"])
