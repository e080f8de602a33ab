"""Counting by Spark: `spark publish`, `spark land`, `spark compact`, `spark adopt`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dpdau.cli import output
from dpdau.cli.arguments import PublishFrom, PublishThrough, optional_day
from dpdau.cli.session import Session, command
from dpdau.errors import InvalidValueError

if TYPE_CHECKING:
    from dpdau.spark import TableSource

__all__ = ["commands"]

commands = typer.Typer(
    no_args_is_help=True, help="Count from tables that Spark reads, for stores that do not count."
)

_Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="[EVENTS]...", help="Files or folders of events, as Spark reads them."),
]
_Table = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A table or view of Spark's catalogs, in their place."),
]
_Format = Annotated[
    str,
    typer.Option(
        "--format", metavar="NAME", help="Of the files: parquet, json, csv, delta, iceberg, …"
    ),
]
_Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="NAME=VALUE",
        help="What Spark's reader of that format is told, such as header=true; may be repeated.",
    ),
]
_Order = Annotated[
    str,
    typer.Option(
        metavar="COLUMN",
        help="The column that tells in which order events arrived: a timestamp or a whole number.",
    ),
]
_MaxBad = Annotated[
    int,
    typer.Option(
        metavar="ROWS", min=0, help="Leave out up to so many rows that are no events, if there are."
    ),
]


@commands.command(
    epilog="Example: dpdau spark publish s3a://warehouse/events; "
    "dpdau spark publish --table analytics.events --through 2026-11-19"
)
@command(server=False)
def publish(
    session: Session,
    events: _Paths = None,
    *,
    table: _Table = None,
    file_format: _Format = "parquet",
    options: _Options = None,
    order: _Order = "received_at",
    through: PublishThrough = None,
    start: PublishFrom = None,
    max_bad: _MaxBad = 0,
) -> None:
    """Publish every closed day that is due, counted from EVENTS, or else from landed events."""
    from dpdau.spark import publish as count_and_publish  # noqa: PLC0415 - an extra

    last, first = optional_day(through, "--through"), optional_day(start, "--from")
    source = None
    if events or table is not None:
        source = _source(events, table, file_format, options, order)
    with session.waiting("Counting"):
        published = count_and_publish(
            session.settings, source, through=last, start=first, max_bad=max_bad
        )
    session.show({"published": published}, output.published)


@commands.command(epilog="Example: dpdau spark land s3a://warehouse/incoming --every 60")
@command(server=False)
def land(
    session: Session,
    events: _Paths = None,
    *,
    table: _Table = None,
    file_format: _Format = "parquet",
    options: _Options = None,
    order: _Order = "received_at",
    max_bad: _MaxBad = 0,
    every: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            help="Look for more so often until interrupted; without it, end when nothing is left.",
        ),
    ] = None,
) -> None:
    """Take in new files of EVENTS, each once, to be counted by `dpdau spark publish`."""
    from dpdau.spark import land as take_in  # noqa: PLC0415 - an extra

    source = _source(events, table, file_format, options, order)
    with _watching(session) as watch:
        landed = take_in(
            session.settings, source, max_bad=max_bad, every_seconds=every, watch=watch
        )
    session.show(asdict(landed), lambda answer: output.sentence(_landed(answer["batches"])))


@commands.command(epilog="Example: dpdau spark compact")
@command(server=False)
def compact(session: Session) -> None:
    """Write landed events anew, without erased people and what is past its retention."""
    from dpdau.spark import compact as write_anew  # noqa: PLC0415 - an extra

    with session.waiting("Compacting"):
        batches = write_anew(session.settings)
    session.show(
        {"batches": batches},
        lambda _: output.sentence("The landed events hold nobody who was erased before now."),
    )


@commands.command(epilog="Example: dpdau spark adopt")
@command(server=False)
def adopt(session: Session) -> None:
    """Let Spark count for this store from its next series on; there is no way back."""
    from dpdau.spark import adopt as hand_over  # noqa: PLC0415 - an extra

    hand_over(session.settings)
    session.show(
        {"activity_source": "spark"},
        lambda _: output.sentence(
            "Spark counts for this store from now on: set ACTIVITY_SOURCE=spark wherever it is used."
        ),
    )


def _source(
    paths: Sequence[str] | None,
    table: str | None,
    file_format: str,
    options: Sequence[str] | None,
    order: str,
) -> "TableSource":
    from dpdau.spark import TableSource  # noqa: PLC0415 - an extra

    return TableSource(
        paths=tuple(paths or ()),
        table=table,
        file_format=file_format,
        options=dict(map(_option, options or ())),
        arrival=order,
    )


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InvalidValueError("--option", text, "NAME=VALUE")
    return name, value


def _landed(batches: int) -> str:
    if not batches:
        return "Nothing was left to take in."
    return f"Took in {batches:,} {'batch' if batches == 1 else 'batches'}."


@contextmanager
def _watching(session: Session) -> Iterator[Callable[[int], None]]:
    """Show what was done so far, if anyone watches."""
    if session.as_json or not session.err.is_terminal:
        yield lambda _: None
        return
    with session.err.status("Waiting for events …") as status:
        yield lambda batches: status.update(f"{batches:,} batches taken in …")
