import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from dpdau import __version__
from support.command_line import Run

LATE = {"dp_accounting", "fastapi", "httpx", "pyarrow", "scipy.optimize", "scipy.stats"}
"""Libraries that together take seconds to load, and that most commands do without."""

LOADED_BY = """
import sys
from dpdau.cli import main
assert main(sys.argv[1:]) == 0
print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.usefixtures("realistic")
def test_published_values_and_their_cost_are_shown_without_loading_what_takes_seconds(
    run: Run, events: Path, day: date
) -> None:
    run("ingest", "--from", str(events))
    assert run("dau", str(day)).code == run("mau", str(day)).code == 0
    for arguments in (["dau", str(day)], ["mau", str(day)], ["budget"], ["ledger"]):
        shown = subprocess.run(  # noqa: S603 - this very product
            [sys.executable, "-c", LOADED_BY, *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        assert LATE.isdisjoint(shown.stderr.split()), arguments


def test_the_version_is_told_before_any_command(run: Run) -> None:
    assert run("--version").out == f"{__version__}\n"
