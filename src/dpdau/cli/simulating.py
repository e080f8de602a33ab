"""Making activity up: `generate-synthetic`, `simulate`."""

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from dpdau.cli import output
from dpdau.cli.arguments import optional_day
from dpdau.cli.session import Session, command
from dpdau.model.calendar import utc_now
from dpdau.simulation import (
    ACTIVITY_SUFFIXES,
    Population,
    Simulation,
    SyntheticActivity,
    write_activity,
)

__all__ = ["commands"]

commands = typer.Typer()

_PANEL = "Bring events in"

_Out = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help=f"The file to write, {', '.join(ACTIVITY_SUFFIXES[:-1])} or {ACTIVITY_SUFFIXES[-1]}; "
        "the true numbers go to a file beside it that ends in .truth.csv.",
    ),
]
_End = Annotated[
    str | None, typer.Option(metavar="DAY", help="The last day; by default yesterday (UTC).")
]
_Seed = Annotated[
    int | None,
    typer.Option(
        metavar="SEED", help="The same seed gives the same events; by default DEFAULT_SEED."
    ),
]


@commands.command(
    rich_help_panel=_PANEL,
    epilog="Example: dpdau generate-synthetic --days 30 --daily-users 500 --out events.jsonl",
)
@command(store=False, server=False)
def generate_synthetic(
    session: Session,
    *,
    out: _Out,
    days: Annotated[int, typer.Option(metavar="DAYS", help="How many days.")] = 30,
    daily_users: Annotated[
        int, typer.Option(metavar="USERS", help="How many people are active on an average day.")
    ] = 500,
    delete_rate: Annotated[
        float, typer.Option(metavar="SHARE", help="The share of people who later ask for erasure.")
    ] = 0.1,
    end: _End = None,
    seed: _Seed = None,
) -> None:
    """Write made-up activity to try things with, including people who are erased later."""
    activity = SyntheticActivity(
        days=days,
        daily_users=daily_users,
        delete_rate=delete_rate,
        end=_last_day(end),
        seed=session.settings.default_seed if seed is None else seed,
    )
    _write(session, activity, out)


@commands.command(
    rich_help_panel=_PANEL,
    epilog="Example: dpdau simulate --users 100000 --p-active 0.2 --days 60 --out events.parquet",
)
@command(store=False, server=False)
def simulate(
    session: Session,
    *,
    out: _Out,
    users: Annotated[
        int | None, typer.Option(metavar="USERS", help="How many people; by default N_USERS.")
    ] = None,
    p_active: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="How likely a person who is around is active on a day, on average; by default "
            "P_ACTIVE.",
        ),
    ] = None,
    delete_rate: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE", help="The share that asks to be erased; by default DELETE_RATE."
        ),
    ] = None,
    days: Annotated[int, typer.Option(metavar="DAYS", help="How many days.")] = 60,
    end: _End = None,
    seed: _Seed = None,
) -> None:
    """Write what a population does: people join, pause, return, take events back, and leave.

    Every event says in metadata.arrived when it arrives, and the file is in that order.
    """
    settings = session.settings
    population = Population(
        users=settings.n_users if users is None else users,
        p_active=settings.p_active if p_active is None else p_active,
        delete_rate=settings.delete_rate if delete_rate is None else delete_rate,
        days=days,
        end=_last_day(end),
        seed=settings.default_seed if seed is None else seed,
    )
    _write(session, population, out)


def _last_day(end: str | None) -> date:
    return optional_day(end, "--end") or utc_now().date() - timedelta(days=1)


def _write(session: Session, simulation: Simulation, out: Path) -> None:
    is_quiet = session.as_json or not session.err.is_terminal
    with Progress(console=session.err, disable=is_quiet, transient=True) as progress:
        task = progress.add_task("Writing", total=simulation.days)
        written = write_activity(
            simulation, out, lambda days: progress.update(task, completed=days)
        )
    summary = {
        "file": str(written.path),
        "truth": str(written.truth),
        "events": written.events,
        "days": simulation.days,
        "end": simulation.end.isoformat(),
    }
    session.show(
        summary,
        lambda answer: output.sentence(
            f"Wrote {answer['events']:,} events of {answer['days']} days up to {answer['end']} "
            f"to {answer['file']}, and the true numbers to {answer['truth']}."
        ),
    )
