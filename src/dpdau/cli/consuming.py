"""Reading events from a message broker: `consume`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dpdau.cli import output
from dpdau.cli.session import Session, command
from dpdau.config import load_settings

if TYPE_CHECKING:
    from dpdau.streams import Tally

__all__ = ["commands"]

commands = typer.Typer()

_PANEL = "Bring events in"


@commands.command(
    rich_help_panel=_PANEL,
    epilog="Example: dpdau consume nats://localhost:4222 --partitions 0-3",
)
@command(server=False)
def consume(
    session: Session,
    broker: Annotated[
        str | None,
        typer.Argument(
            metavar="[URL]",
            help="The broker, in place of BROKER_URL: nats://HOST:PORT, kafka://HOST:PORT, or with "
            "+tls behind the scheme. Credentials are settings, since others on this machine may "
            "see a command's arguments.",
        ),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(
            metavar="SUBJECT", help="The subject or topic to read, in place of BROKER_SUBJECT."
        ),
    ] = None,
    partitions: Annotated[
        str | None,
        typer.Option(metavar="NUMBERS", help="Such as 0-3 or 0,2, in place of BROKER_PARTITIONS."),
    ] = None,
    *,
    drain: Annotated[
        bool, typer.Option("--drain", help="End once the broker has nothing more.")
    ] = False,
) -> None:
    """Store the events of a message broker until it is stopped, each once and in order."""
    # Imported here, since no other command needs it.
    from dpdau.streams import consume as read  # noqa: PLC0415

    settings = load_settings(
        data_dir=session.data_dir,
        broker_url=broker,
        broker_subject=subject,
        broker_partitions=partitions,
    )
    with _watching(session) as watch:
        tally = read(settings, drain=drain, watch=watch)
    session.show(asdict(tally), output.consumed)


@contextmanager
def _watching(session: Session) -> Iterator[Callable[["Tally"], None]]:
    """Show what was done so far, if anyone watches."""
    if session.as_json or not session.err.is_terminal:
        yield lambda _: None
        return
    with session.err.status("Waiting for events …") as status:
        yield lambda tally: status.update(
            f"{tally.messages:,} messages, {tally.events:,} events, "
            f"{tally.dead_letters:,} dead letters …"
        )
