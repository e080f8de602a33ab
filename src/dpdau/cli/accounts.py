"""What everything cost: `budget`, `ledger`, `verify`."""

from typing import Annotated

import msgspec
import typer

from dpdau.cli import output
from dpdau.cli.arguments import MetricName, metric_named, optional_day
from dpdau.cli.session import Session, command
from dpdau.errors import InvalidValueError
from dpdau.model.ledger import LedgerRow, verify_chain

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


@commands.command(
    "raise-cap",
    rich_help_panel=_PANEL,
    epilog='Example: dpdau raise-cap mau --period 2026-11 --to 4 --who "Ada, data protection" '
    '--why "one more correction, as agreed on 2026-11-19"',
)
@command()
def raise_cap(
    session: Session,
    metric: MetricName,
    *,
    period: Annotated[str, typer.Option(metavar="PERIOD", help="Like 2026-11.")],
    to: Annotated[float, typer.Option(metavar="EPSILON", help="The new cap, above the old one.")],
    who: Annotated[str, typer.Option(metavar="NAME", help="Who decided.")],
    why: Annotated[str, typer.Option(metavar="REASON", help="For what reason.")],
) -> None:
    """Allow a metric to cost more in one period; recorded for ever with who and why."""
    with session.backend() as backend:
        answer = backend.raise_cap(metric_named(metric), period, to, who, why)
    session.show(answer, output.budget)


@commands.command(
    rich_help_panel=_PANEL, epilog="Example: dpdau ledger --metric mau --period 2026-11"
)
@command()
def ledger(
    session: Session,
    metric: Annotated[
        str | None, typer.Option(metavar="dau|mau", help="One metric; by default all.")
    ] = None,
    period: Annotated[
        str | None, typer.Option(metavar="PERIOD", help="One period; by default all.")
    ] = None,
) -> None:
    """Show every plan and value ever published with what it cost, oldest first."""
    asked = None if metric is None else metric_named(metric)
    with session.backend() as backend:
        answer = backend.ledger(asked, period)
    session.show(answer, output.ledger)


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau verify")
@command()
def verify(session: Session) -> None:
    """Check that no row of the ledger was changed, removed or reordered."""
    with session.backend() as backend:
        rows = msgspec.convert(backend.ledger(None, None)["rows"], list[LedgerRow])
    verify_chain(rows)
    head = rows[-1].hash if rows else None
    session.show(
        {"valid": True, "rows": len(rows), "head": head},
        lambda answer: output.sentence(
            f"The ledger's {answer['rows']:,} rows are intact"
            + ("." if head is None else f"; the newest has the hash {head[:16]}….")
        ),
    )
