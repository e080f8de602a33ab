"""How far the rotation of the secret is: `rekey`."""

from typing import Annotated

import typer
from rich.console import RenderableType

from dpdau.cli import output
from dpdau.cli.backend import Answer
from dpdau.cli.session import Session, command
from dpdau.errors import InputError

__all__ = ["commands"]

commands = typer.Typer()

_PANEL = "Erase"


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau rekey --status")
@command()
def rekey(
    session: Session,
    *,
    status: Annotated[
        bool, typer.Option("--status", help="Show how many people have moved, and what to do next.")
    ] = False,
) -> None:
    """Show how far people have moved to a new HASH_SALT_SECRET; each moves by being active."""
    if not status:
        raise InputError(
            "There is nothing to start here: people move by themselves once HASH_SALT_SECRET and "
            "HASH_SALT_SECRET_PREVIOUS are set. `dpdau rekey --status` shows how far they are."
        )
    with session.backend() as backend:
        answer = backend.rotation()
    session.show(answer, _rotation)


def _rotation(answer: Answer) -> RenderableType:
    if answer["state"] == "none":
        return output.sentence(f"The secret was never replaced. {answer['next_step']}")
    rows = [
        ("since", answer["started_on"]),
        ("people done", f"{answer['users_done']:,}"),
        ("people remaining", f"{answer['users_remaining']:,}"),
        ("erasures remaining", f"{answer['tombstones_remaining']:,}"),
    ]
    rows += [("ends by", answer["ends_by"])] if answer["ends_by"] else []
    return output.facts(f"Rotation {answer['state']}", rows, answer["next_step"])
