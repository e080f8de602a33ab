"""Installations whose processes start at once, with a clock and upkeep that others decide."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from _cradle import Call
from _launch import set_clock
from _newborn import Cradle, DiedAtBirthError, Newborn
from _stepped import done_file

__all__ = ["Ended", "WarmInstallation", "nursery"]

_SCRIPT = Path(__file__).with_name("_nursery.py")
_PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.01


def nursery(presences: Sequence[str] = ()) -> Cradle:
    """Where the processes of installations are born.

    Args:
        presences: RUNS:DAYS of strategies to design beforehand; 0 runs for no limit.
    """
    return Cradle([], (str(_SCRIPT), *presences))


@dataclass(frozen=True)
class Ended:
    """A command that has run.

    Attributes:
        status: its exit status.
        output: what it wrote to standard output.
        errors: what it wrote to standard error.
    """

    status: int
    output: str
    errors: str


@dataclass
class WarmInstallation:
    """A data directory, and the settings that all its processes have.

    Attributes:
        cradle: what starts them.
        folder: where everything is.
        settings: by name; they may be changed between processes.
        mutation: a fault of `_faulty` that all of them have; None for the product as it is.
    """

    cradle: Cradle
    folder: Path
    settings: dict[str, str]
    mutation: str | None = None
    _rounds: int = field(default=0, init=False)
    _processes: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.data_dir.mkdir(mode=0o700)

    @property
    def data_dir(self) -> Path:
        """Where the data is."""
        return self.folder / "data"

    def set_clock(self, moment: datetime | timedelta) -> None:
        """Set the time of all processes, running ones too."""
        set_clock(self._clock, moment)

    def serve(self) -> Newborn | Ended:
        """Start the service, and wait until it listens and has done a round of upkeep.

        Returns:
            The service, or how it ended if it did not come so far.
        """
        self._call()
        stepped: Call = ("_stepped", "step_upkeep", [str(self._rounds_file)])
        try:
            service = self.cradle.serve(
                self._environment,
                clock=self._clock,
                folder=self.data_dir,
                log=self._new_file("errors"),
                first=[stepped, *self._faults],
            )
        except DiedAtBirthError as end:
            return Ended(end.status, "", end.printed)
        self._await_upkeep(service)
        return service

    def upkeep(self, service: Newborn) -> None:
        """Let a running service do a round of upkeep, and wait for its end."""
        self._call()
        self._await_upkeep(service)

    def run(self, *arguments: str) -> Ended:
        """Run a command to its end."""
        log = self._new_file("errors")
        output = log.with_suffix(".output")
        command = self.cradle.bear(
            arguments,
            self._environment,
            clock=self._clock,
            folder=self.data_dir,
            log=log,
            output=output,
            first=self._faults,
        )
        return Ended(command.wait(), output.read_text(), command.printed)

    def _call(self) -> None:
        self._rounds += 1
        draft = self._rounds_file.with_suffix(".call")
        draft.write_text(str(self._rounds))
        draft.replace(self._rounds_file)

    def _await_upkeep(self, service: Newborn) -> None:
        done = done_file(self._rounds_file)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (done.exists() and int(done.read_text()) == self._rounds):
            if service.ended() is not None or time.monotonic() > deadline:
                service.kill()
                message = f"there was no round of upkeep; the log:\n{service.printed}"
                raise RuntimeError(message)
            time.sleep(_POLL_SECONDS)

    @property
    def _clock(self) -> Path:
        return self.folder / "clock"

    @property
    def _rounds_file(self) -> Path:
        return self.folder / "rounds"

    @property
    def _environment(self) -> dict[str, str]:
        return {"DATA_DIR": str(self.data_dir), **self.settings}

    @property
    def _faults(self) -> list[Call]:
        return [] if self.mutation is None else [("_faulty", "introduce", [self.mutation])]

    def _new_file(self, kind: str) -> Path:
        self._processes += 1
        return self.folder / f"{self._processes}.{kind}"
