"""Sketches as files that other tools open: `sketch export`, `sketch import`."""

from pathlib import Path
from typing import Annotated

import typer

from dpdau.cli import output
from dpdau.cli.arguments import Day, optional_day
from dpdau.cli.backend import Answer
from dpdau.cli.session import Session, command
from dpdau.errors import FileUnreadableError, IncompatibleSketchError, InvalidValueError

__all__ = ["commands"]

_PANEL = "Account"
_PRIVATE = (
    "Not private: this is a count without noise. Keep file and figures to those who may see the "
    "activity itself."
)

commands = typer.Typer(
    help="Write and read Apache DataSketches compact theta sketches, which are not private.",
    no_args_is_help=True,
)


@commands.command(
    "export",
    rich_help_panel=_PANEL,
    epilog="Example: dpdau sketch export 2026-11-19 --window 30 --out mau.theta",
)
@command(server=False)
def export(
    session: Session,
    day: Day,
    *,
    window: Annotated[
        int, typer.Option(metavar="DAYS", help="How many trailing days to count.")
    ] = 1,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write the sketch.")],
) -> None:
    """Write who was active in a window as a compact theta sketch: not private, for administrators.

    It can be joined with other exports of the same store, and with no others: it is made of
    pseudonyms under the store's secret.
    """
    # Imported here, since loading the product takes longer than `--help` should.
    from dpdau.cli.local import LocalBackend  # noqa: PLC0415

    asked = optional_day(day, "DAY")
    settings = session.settings
    if out.resolve().is_relative_to(settings.data_dir.resolve()):
        expected = "a file outside of DATA_DIR, where erasures promise to leave nothing"
        raise InvalidValueError("--out", str(out), expected)
    with LocalBackend.open(settings) as backend:
        content, answer = backend.sketch_file(asked, window)
    try:
        # No one else may read what has no noise.
        out.touch(mode=0o600)
        out.write_bytes(content)
    except OSError as error:
        expected = f"a file that can be written ({error.strerror})"
        raise InvalidValueError("--out", str(out), expected) from None
    session.warn(_PRIVATE)
    session.show(
        {"file": str(out), "private": False, **answer},
        lambda written: output.sentence(
            f"Wrote {written['hashes']:,} users, sampled at {written['rate']:g}, to "
            f"{written['file']}."
        ),
    )


@commands.command(
    "import",
    rich_help_panel=_PANEL,
    epilog="Example: dpdau sketch import october.theta november.theta december.theta",
)
@command(store=False, server=False)
def import_(
    session: Session,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Compact theta sketches.")],
) -> None:
    """Read compact theta sketches: how many users each holds, and all of them together.

    Nothing is stored: a sketch has no ids, so it cannot become activity. Together, exports of one
    store count windows that are longer than what the store retains.
    """
    # Imported here, since loading the product takes longer than `--help` should.
    from dpdau.sketches import CompactTheta, read_compact_theta, union_of  # noqa: PLC0415

    def figures(sketch: CompactTheta) -> Answer:
        return {"hashes": sketch.hashes, "rate": sketch.rate, "estimate": sketch.estimate}

    contents, rows = [], []
    for file in files:
        try:
            contents.append(file.read_bytes())
            rows.append({"file": str(file), **figures(read_compact_theta(contents[-1]))})
        except OSError as error:
            raise FileUnreadableError(file, error.strerror or str(error)) from None
        except IncompatibleSketchError as error:
            raise FileUnreadableError(file, error.message.rstrip(".")) from None
    session.warn(_PRIVATE)
    union = figures(union_of(contents))
    session.show({"private": False, "sketches": rows, "union": union}, output.sketches)
