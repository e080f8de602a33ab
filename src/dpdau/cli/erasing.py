"""Taking people out: `erase`, `erasure`."""

from pathlib import Path
from typing import Annotated

import typer

from dpdau.cli import output
from dpdau.cli.session import Session, command
from dpdau.errors import FileUnreadableError

__all__ = ["commands"]

commands = typer.Typer()

_PANEL = "Erase"


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau erase ada@example.com")
@command()
def erase(
    session: Session,
    users: Annotated[
        list[str] | None, typer.Argument(metavar="USER...", help="The ids of people to erase.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="A file with one id a line.")
    ] = None,
) -> None:
    """Erase people from everything that is kept, at once and without asking."""
    named = list(users or [])
    if file is not None:
        named += _ids_in(file)
    with session.backend() as backend:
        answer = backend.erase(named)
    session.show(answer, output.erasure)


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau erasure 5hZkVtT0cJw3uQ0lq1Xy7A")
@command()
def erasure(
    session: Session,
    erasure_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `erase` printed.")],
) -> None:
    """Show whether an erasure is done."""
    with session.backend() as backend:
        answer = backend.erasure(erasure_id)
    session.show(answer, output.erasure)


def _ids_in(file: Path) -> list[str]:
    """The lines of a file, without empty ones."""
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise FileUnreadableError(file, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise FileUnreadableError(file, "it is not UTF-8 text") from None
    return [line for line in lines if line]
