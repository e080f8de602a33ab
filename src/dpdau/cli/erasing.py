"""Taking people out: `erase`, `erasure`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from dpdau.cli import output
from dpdau.cli.arguments import readable
from dpdau.cli.session import Session, command
from dpdau.errors import FileUnreadableError, InvalidValueError
from dpdau.model.erasures import MAX_USERS

__all__ = ["commands"]

commands = typer.Typer()

_PANEL = "Erase"


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau erase ada@example.com")
@command()
def erase(
    session: Session,
    users: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="USER...",
            help="The ids of people to erase. Others on this machine may see a command's "
            "arguments, and shells keep them: --from does without.",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="A file with one id a line; - is the standard input. People beyond 100,000 are "
            "erased by further requests, with a record each.",
        ),
    ] = None,
    request_key: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="A name for this request: repeated with the same people it shows the same record "
            "and erases nobody, with other people it is refused.",
        ),
    ] = None,
) -> None:
    """Erase people from everything that is kept, at once and without asking."""
    named = list(users or [])
    if file is not None:
        named += _ids_in(file)
    with session.backend() as backend:
        for start in range(0, max(len(named), 1), MAX_USERS):
            key = _key_of_part(request_key, start // MAX_USERS)
            answer = backend.erase(named[start : start + MAX_USERS], key)
            session.show(answer, output.erasure)


@commands.command(
    rich_help_panel=_PANEL,
    epilog="Example: dpdau erasure 9f2c41d07be85a3611c0d4e2a7f3b685 --receipt --out receipt.json",
)
@command()
def erasure(
    session: Session,
    *,
    erasure_id: Annotated[str, typer.Argument(metavar="ID", help="The id that `erase` printed.")],
    receipt: Annotated[
        bool,
        typer.Option("--receipt", help="Show what was removed where, and what is kept until when."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the receipt to a file, as JSON.")
    ] = None,
) -> None:
    """Show whether an erasure is done, or its receipt; complete it if it waits on this machine."""
    if out is not None and not receipt:
        raise InvalidValueError("--out", str(out), "to stand beside --receipt")
    asked = readable(erasure_id, "ID")
    with session.backend() as backend:
        answer = backend.receipt(asked) if receipt else backend.erasure(asked)
    if out is None:
        session.show(answer, output.receipt if receipt else output.erasure)
        return
    try:
        out.write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        expected = f"a file that can be written ({error.strerror})"
        raise InvalidValueError("--out", str(out), expected) from None
    session.show(
        {"file": str(out)}, lambda shown: output.sentence(f"Wrote the receipt to {shown['file']}.")
    )


def _key_of_part(request_key: str | None, part: int) -> str | None:
    """The key of one of several requests; the first has the key as it is."""
    return request_key if request_key is None or part == 0 else f"{request_key} part {part + 1}"


def _ids_in(file: Path) -> list[str]:
    """The lines of a file, without empty ones."""
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise FileUnreadableError(file, error.strerror or str(error)) from None
    except UnicodeDecodeError:
        raise FileUnreadableError(file, "it is not UTF-8 text") from None
    # Ids may hold the other characters at which Python ends a line.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [line for line in lines if line]
