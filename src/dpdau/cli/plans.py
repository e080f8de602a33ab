"""What a series measures: `plan`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dpdau.cli import output
from dpdau.cli.arguments import metric_named
from dpdau.cli.session import Session, command
from dpdau.errors import FileUnreadableError, InvalidValueError

__all__ = ["commands"]

commands = typer.Typer()

_PANEL = "Account"


@commands.command(
    rich_help_panel=_PANEL,
    epilog="Example: dpdau plan --show --metric mau --period 2026-11 --json > plan.json; "
    "dpdau plan --check plan.json",
)
@command()
def plan(
    session: Session,
    *,
    show: Annotated[bool, typer.Option("--show", help="Show the plan of a period.")] = False,
    metric: Annotated[
        str | None, typer.Option(metavar="dau|mau", help="Whose series; with --show.")
    ] = None,
    period: Annotated[
        str | None,
        typer.Option(metavar="PERIOD", help="Like 2026-11, 2026-Q4 or 2026; with --show."),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Verify a plan that --show --json printed."),
    ] = None,
) -> None:
    """Show what a period's series measures, or verify such a plan without the code that made it."""
    if show == (check is not None):
        raise InvalidValueError(
            "plan", "--show" if show else None, "one of --show and --check FILE"
        )
    if check is not None:
        _check(session, check)
    else:
        _show(session, metric, period)


def _show(session: Session, metric: str | None, period: str | None) -> None:
    if metric is None or period is None:
        missing = "--metric" if metric is None else "--period"
        raise InvalidValueError(missing, None, "both --metric and --period beside --show")
    with session.backend() as backend, session.waiting("Designing"):
        answer = backend.plan(metric_named(metric), period)
    session.show(answer, output.plan)


def _check(session: Session, file: Path) -> None:
    try:
        content = json.loads(file.read_bytes())
    except OSError as error:
        raise FileUnreadableError(file, error.strerror or str(error)) from None
    except (ValueError, RecursionError):
        raise FileUnreadableError(file, "it is not JSON") from None
    # Imported here, since loading the product takes longer than `--help` should.
    from dpdau.privacy.strategy import Plan, check_plan  # noqa: PLC0415

    claimed = Plan.from_dict(content)
    with session.waiting("Checking"):
        check_plan(claimed)
    answer = {
        "valid": True,
        "plan_id": claimed.plan_id,
        "sensitivity_squared": claimed.sensitivity_squared,
        "rho": claimed.rho,
        "epsilon": claimed.epsilon,
        "delta": claimed.delta,
        "gap": claimed.gap,
    }
    session.show(answer, output.checked_plan)
