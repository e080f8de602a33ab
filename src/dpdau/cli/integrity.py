"""Whether the ledger is whole, and what only a row of it may change.

`verify`, `raise-cap`, `ledger-acknowledge`.
"""

from typing import Annotated

import typer

from dpdau.cli import output
from dpdau.cli.arguments import MetricName, metric_named
from dpdau.cli.backend import Answer
from dpdau.cli.session import Session, command

__all__ = ["commands"]

commands = typer.Typer()

_PANEL = "Account"

_Who = Annotated[str, typer.Option(metavar="NAME", help="Who decided; recorded for ever.")]
_Why = Annotated[str, typer.Option(metavar="REASON", help="For what reason; recorded for ever.")]


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau verify")
@command()
def verify(session: Session) -> None:
    """Recompute the ledger: hashes, values, prices, plans, budgets, and what fits beside it."""
    with session.backend() as backend, session.waiting("Verifying"):
        answer = backend.verify()
    with session.reading_answer():
        remarks = list(answer["remarks"])
    for remark in remarks:
        session.warn(f"Remark: {remark}")
    session.show(answer, lambda found: output.sentence(_verdict(found)))


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
    who: _Who,
    why: _Why,
) -> None:
    """Allow a metric to cost more in one period; recorded for ever with who and why."""
    with session.backend() as backend:
        answer = backend.raise_cap(metric_named(metric), period, to, who, why)
    session.show(answer, output.budget)


@commands.command(
    "ledger-acknowledge",
    rich_help_panel=_PANEL,
    epilog='Example: dpdau ledger-acknowledge --who "Ada, operations" '
    '--why "the disk died on 2026-11-19, and the backup of the night before was put back"',
)
@command()
def ledger_acknowledge(
    session: Session,
    *,
    who: _Who,
    why: _Why,
    nothing_lost: Annotated[
        bool,
        typer.Option(
            "--nothing-lost",
            help="Only if the copy of the head is missing: state that the ledger is the newest.",
        ),
    ] = False,
) -> None:
    """Let releases go on after an older store was put back: what it lost is charged again."""
    with session.backend() as backend:
        answer = backend.acknowledge(who, why, nothing_lost=nothing_lost)
    session.show(answer, output.ledger)


def _verdict(answer: Answer) -> str:
    kinds = [f"{count:,} {kind}" for kind, count in answer["kinds"].items() if count]
    if not kinds:
        return "The ledger is empty: nothing has been published."
    return (
        f"The ledger's {answer['rows']:,} rows are true ({', '.join(kinds)}); "
        f"the newest has the hash {answer['head'][:16]}…."
    )
