"""The command line of dpdau under a clock that a file sets.

Run: python _launch.py CLOCK COMMAND [ARGUMENT ...]

CLOCK holds a moment with its zone, or "+SECONDS" or "-SECONDS" by which the system's clock is
shifted; it is read anew whenever the product asks for the time. Timers that only measure how long
something takes go on as they are.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dpdau.model import calendar

__all__ = ["live_by_a_clock", "main", "now", "set_clock"]


def now(clock: Path) -> datetime:
    """What a clock file says the time is."""
    text = clock.read_text(encoding="ascii").strip()
    if text.startswith(("+", "-")):
        return datetime.now(UTC) + timedelta(seconds=float(text))
    return datetime.fromisoformat(text)


def set_clock(clock: Path, moment: datetime | timedelta) -> None:
    """Make a clock stand still at a moment, or run this far from the system's."""
    text = f"{moment.total_seconds():+f}" if isinstance(moment, timedelta) else moment.isoformat()
    draft = clock.with_suffix(".new")
    draft.write_text(text + "\n", encoding="ascii")
    draft.replace(clock)


_chosen: list[Path] = []


def live_by_a_clock() -> None:
    """Let the product ask a clock file for the time: the one that `main` is given.

    The others take the function from its module when they are imported, so this comes first.
    """
    calendar.utc_now = lambda: now(_chosen[0])


def main() -> None:
    """Run the command of this process's arguments."""
    _chosen.append(Path(sys.argv.pop(1)))
    live_by_a_clock()
    from dpdau import cli  # noqa: PLC0415

    sys.argv[0] = "dpdau"
    sys.exit(cli.main())


if __name__ == "__main__":
    main()
