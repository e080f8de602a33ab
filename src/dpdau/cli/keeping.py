"""Keeping the store safe: `backup`, `restore`, `doctor`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from pydantic import SecretStr
from rich.console import RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from dpdau.cli import output
from dpdau.cli.backend import Answer
from dpdau.cli.exit_codes import PROBLEMS_FOUND
from dpdau.cli.session import Session, command, text_or_file
from dpdau.config import load_settings
from dpdau.errors import InvalidValueError
from dpdau.model.calendar import parse_day

__all__ = ["commands"]

commands = typer.Typer()

_PANEL = "Keep it safe"
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}
_FORMER = {
    "none": "There was no store before.",
    "unreadable": "The former store could not be read.",
    "older": "The former store's ledger ended before the backup's.",
    "same": "The former store had published nothing since.",
    "newer": "What the former store had published since stays charged and stays published.",
}


@commands.command(
    rich_help_panel=_PANEL, epilog="Example: dpdau backup --to /mnt/other/monday.sqlite3"
)
@command(server=False)
def backup(
    session: Session,
    *,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The file; by default a new one in DATA_DIR/backups."),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Remove all but the newest N backups in DATA_DIR/backups."
        ),
    ] = None,
) -> None:
    """Copy the store of this machine to a file, checked and whole, while it is in use."""
    # Imported here, as the product is in `session`.
    from dpdau.maintenance.backup import back_up  # noqa: PLC0415

    with _progress(session) as progress:
        task = progress.add_task("Copying", total=None)
        made = back_up(
            session.settings,
            to=to,
            keep=keep,
            reached=lambda done, of: progress.update(task, completed=done, total=of),
        )
    session.show(_json(made), _backup)
    if made.secret_file is not None:
        session.warn(
            f"The backup is of no use without the secret, which is in {made.secret_file} only: "
            "keep a copy of that file, apart from the backups."
        )


@commands.command(
    rich_help_panel=_PANEL,
    epilog="Example: dpdau restore data/backups/dpdau-20251120T020000Z.sqlite3",
)
@command(server=False)
def restore(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
) -> None:
    """Put a backup in the place of the store of this machine, which nothing else may have open."""
    from dpdau.maintenance.restore import restore as put_back  # noqa: PLC0415

    with session.waiting("Restoring"):
        restored = put_back(session.settings, file)
    session.show(_json(restored), _restored)
    if not restored.erasures_known:
        session.warn(
            "Nothing tells who was erased since the backup was made: request those erasures again."
        )
    if restored.stopped is not None:
        session.warn(f"{restored.stopped} The command for that is `dpdau ledger-acknowledge`.")


@commands.command(rich_help_panel=_PANEL, epilog="Example: dpdau doctor")
@command(server=False)
def doctor(session: Session) -> None:
    """Look for what is wrong on this machine or may go wrong, and change nothing."""
    from dpdau.maintenance.doctor import State, examine  # noqa: PLC0415

    with session.waiting("Looking"):
        findings = list(examine(session.settings))
    is_sound = all(finding.state is not State.PROBLEM for finding in findings)
    session.show({"sound": is_sound, "findings": [asdict(each) for each in findings]}, _findings)
    if not is_sound:
        raise typer.Exit(PROBLEMS_FOUND)


@commands.command(
    "migrate-store",
    rich_help_panel=_PANEL,
    epilog="Example: dpdau migrate-store --to postgresql://dpdau@db.example.com/dpdau",
)
@command(server=False)
def migrate_store(
    session: Session,
    *,
    to: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="An empty PostgreSQL database, in place of SERVICE_DATABASE_URL; @FILE reads it "
            "from a file, since others on this machine may see a command's arguments.",
        ),
    ] = None,
) -> None:
    """Move the store of this machine from its file into a database; the file becomes a backup."""
    from dpdau.maintenance.moving import move_store  # noqa: PLC0415

    with session.waiting("Moving"):
        moved = move_store(session.settings, _database_url(session, to))
    session.show(_json(moved), _moved)
    session.warn(
        "From now on set SERVICE_DATABASE_URL wherever dpdau is started: without it a new and "
        "empty store would be made in DATA_DIR."
    )


@commands.command(
    "erase-again", rich_help_panel=_PANEL, epilog="Example: dpdau erase-again --since 2025-11-18"
)
@command(server=False)
def erase_again(
    session: Session,
    *,
    since: Annotated[
        str,
        typer.Option(
            metavar="DAY", help="The day of the copy: who was erased on it or later is meant."
        ),
    ],
) -> None:
    """Erase again whom the journal of erasures knows, after an older copy of a database came back.

    `dpdau restore` does so by itself.
    """
    from dpdau.cli.local import LocalBackend  # noqa: PLC0415

    day = parse_day(since, "--since")
    with session.waiting("Erasing"), LocalBackend.open(session.settings) as backend:
        answer = backend.erase_again(day)
    session.show(answer, output.erasure)


def _database_url(session: Session, to: str | None) -> SecretStr:
    """The database that the option or the setting names.

    Raises:
        InvalidValueError: if neither does.
        SettingsError: if it is no URL of a database.
    """
    text = text_or_file(to) if to is not None else None
    url = load_settings(data_dir=session.data_dir, service_database_url=text).service_database_url
    if url is None:
        raise InvalidValueError("--to", "not given", "the URL of a database, or a setting of it")
    return url


def _progress(session: Session) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        console=session.err,
        transient=True,
        disable=session.as_json or not session.err.is_terminal,
    )


def _json(value: object) -> dict[str, Any]:
    answer: dict[str, Any] = msgspec.to_builtins(value, enc_hook=str)
    return answer


def _backup(answer: Answer) -> RenderableType:
    rows = [
        ("file", answer["path"]),
        ("size", f"{answer['size_bytes'] / 1e6:,.1f} MB"),
        ("checked", f"every page, and {answer['ledger_rows']:,} rows of the ledger"),
        ("removed", ", ".join(answer["removed"]) or "no older backup"),
    ]
    return output.facts(
        "Backup made",
        rows,
        "It holds pseudonyms, activity and the ledger, not the secret that it needs.",
    )


def _restored(answer: Answer) -> RenderableType:
    rows = [
        ("store", answer["path"]),
        (
            "ledger",
            f"{answer['ledger_rows']:,} rows, {answer['rows_kept']:,} newer than the backup",
        ),
        ("erasures", "made since were made again" if answer["erasures_known"] else "not known"),
    ]
    return output.facts("Backup restored", rows, _FORMER[answer["former"]])


def _moved(answer: Answer) -> RenderableType:
    copied = answer["copied"]
    rows = [
        ("people", f"{copied['users']:,} known, {copied['tombstones']:,} erased"),
        ("activity", f"{copied['pairs']:,} days of theirs"),
        ("ledger", f"{copied['ledger_rows']:,} rows"),
        ("former store", f"now the backup {answer['former']}"),
    ]
    resumed = "An earlier try had copied it already." if answer["is_resumed"] else ""
    return output.facts("Store moved", rows, resumed)


def _findings(answer: Answer) -> RenderableType:
    table = output.titled_table("What the doctor found")
    for name in ("", "check", "found", "what to do"):
        table.add_column(name, overflow="fold")
    for each in answer["findings"]:
        state = each["state"]
        table.add_row(
            output.marked(state, _STYLES[state]),
            *(output.sentence(each[name]) for name in ("check", "found", "remedy")),
        )
    return table
