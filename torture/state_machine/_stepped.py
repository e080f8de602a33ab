"""Upkeep that comes when it is called, so that what happens by itself happens at a known moment."""

from pathlib import Path

from dpdau.pipeline.upkeep import Upkeep, UpkeepReport
from dpdau.service import app

__all__ = ["done_file", "step_upkeep"]

_PAUSE_SECONDS = 0.1
_NOTHING = UpkeepReport([], [], 0, 0)


def done_file(rounds: Path) -> Path:
    """Where a service says how many rounds it has finished."""
    return rounds.with_suffix(".done")


def step_upkeep(file: str) -> None:
    """Let this process do a round of upkeep whenever the number in a file has grown.

    It is the service's own task that calls, in its own thread; only the pause is another.
    """
    rounds = Path(file)
    run = Upkeep.run
    finished = 0

    def step(upkeep: Upkeep) -> UpkeepReport:
        nonlocal finished
        due = int(rounds.read_text())
        if due == finished:
            return _NOTHING
        try:
            return run(upkeep)
        finally:
            finished = due
            draft = rounds.with_suffix(".draft")
            draft.write_text(str(due))
            draft.replace(done_file(rounds))

    Upkeep.run = step  # type: ignore[assignment, method-assign]
    app.create_app.__kwdefaults__ = {"upkeep_seconds": _PAUSE_SECONDS}
