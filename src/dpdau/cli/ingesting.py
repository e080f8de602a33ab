"""Bringing events in: `ingest`."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from dpdau.cli import output
from dpdau.cli.backend import Backend
from dpdau.cli.rejected import RejectedLines
from dpdau.cli.session import Session, command
from dpdau.errors import FileUnreadableError
from dpdau.formats import file_size

__all__ = ["commands"]

commands = typer.Typer()

_PANEL = "Bring events in"


@dataclass(frozen=True, slots=True)
class _Ingested:
    file: str
    accepted: int
    rejected: int
    rejected_file: str | None


@commands.command(
    rich_help_panel=_PANEL, epilog="Example: dpdau ingest --from monday.jsonl --from tuesday.csv.gz"
)
@command()
def ingest(
    session: Session,
    files: Annotated[
        list[Path],
        typer.Option(
            "--from",
            metavar="FILE",
            help="Events as .jsonl, .ndjson, .csv, .parquet or .arrow, the text formats also with "
            ".gz or .zst; may be repeated.",
        ),
    ],
) -> None:
    """Store the events of files; lines that are refused go to FILE.rejected.jsonl with reasons."""
    sizes = [file_size(file) for file in files]
    with session.backend() as backend, _progress(session) as progress:
        started = time.monotonic()
        tasks = [
            progress.add_task(file.name, total=size)
            for file, size in zip(files, sizes, strict=True)
        ]
        results = [
            _ingest(backend, file, partial(_reached, progress, task))
            for file, task in zip(files, tasks, strict=True)
        ]
        seconds = time.monotonic() - started
    session.show(_summary(results, seconds), output.ingested)
    for file, result in zip(files, results, strict=True):
        if result.rejected and not result.accepted:
            raise FileUnreadableError(
                file, f"none of its lines is an event, and {result.rejected_file} says why"
            )


def _ingest(backend: Backend, file: Path, reached: Callable[[int], None]) -> _Ingested:
    with RejectedLines(file) as rejected:
        accepted = backend.ingest(file, rejected.add, reached)
    kept_in = str(rejected.path) if rejected.count else None
    return _Ingested(str(file), accepted, rejected.count, kept_in)


def _summary(results: Sequence[_Ingested], seconds: float) -> dict[str, Any]:
    accepted = sum(result.accepted for result in results)
    return {
        "files": [asdict(result) for result in results],
        "accepted": accepted,
        "rejected": sum(result.rejected for result in results),
        "seconds": round(seconds, 3),
        "events_per_second": round(accepted / seconds),
    }


def _reached(progress: Progress, task: TaskID, bytes_read: int) -> None:
    progress.update(task, completed=bytes_read)


def _progress(session: Session) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=session.err,
        disable=session.as_json or not session.err.is_terminal,
        transient=True,
    )
