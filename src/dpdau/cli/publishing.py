"""Making values: `publish`, `revise`."""

import typer

from dpdau.cli import output
from dpdau.cli.arguments import (
    Day,
    MetricName,
    PublishFrom,
    PublishThrough,
    Window,
    metric_named,
    optional_day,
)
from dpdau.cli.session import Session, command
from dpdau.model.calendar import parse_day

__all__ = ["commands"]

commands = typer.Typer()

_PANEL = "Publish"


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau publish --through 2026-11-19")
@command()
def publish(
    session: Session,
    through: PublishThrough = None,
    start: PublishFrom = None,
) -> None:
    """Publish every closed day that is due, oldest first, each exactly once."""
    last, first = optional_day(through, "--through"), optional_day(start, "--from")
    with session.backend() as backend, session.waiting("Publishing"):
        answer = backend.publish(last, first)
    session.show(answer, output.published)


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau revise mau 2026-11-19")
@command()
def revise(session: Session, metric: MetricName, day: Day, window: Window = None) -> None:
    """Measure a published day again on what is known now, at the price of one release."""
    with session.backend() as backend:
        answer = backend.revise(metric_named(metric), parse_day(day), window)
    session.show(answer, output.release)
