"""Installations whose processes start in a moment, since they are forked from one that is warm."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from _harness import environment_with
from _launch import set_clock
from _nursery import Birth
from _stepped import done_file

__all__ = ["Ended", "Nursery", "WarmInstallation", "WarmService"]

_SCRIPT = Path(__file__).with_name("_nursery.py")
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
_PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.01


class Nursery:
    """The process from which others are forked; leaving its context ends them all."""

    def __init__(self, presences: Sequence[str] = ()) -> None:
        """Start it.

        Args:
            presences: RUNS:DAYS of strategies to design beforehand; 0 runs for no limit.
        """
        path = ":".join(filter(None, [str(_SCRIPT.parent), *sys.path]))
        self._process = subprocess.Popen(
            [sys.executable, str(_SCRIPT), *presences],
            env=environment_with(PYTHONPATH=path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._next = 0
        self._pids: dict[int, int] = {}
        self._statuses: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it and all that it started."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait(_PATIENCE_SECONDS)

    def start(self, birth: Birth) -> tuple[int, int]:
        """Start a process; returns its id here and the system's."""
        self._next += 1
        birth["id"] = self._next
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(birth).encode() + b"\n")
        self._process.stdin.flush()
        while self._next not in self._pids:
            self._hear()
        return self._next, self._pids[self._next]

    def wait(self, number: int) -> int:
        """Wait until a process has ended; returns its status."""
        while number not in self._statuses:
            self._hear()
        return self._statuses[number]

    def status(self, number: int) -> int | None:
        """The status of a process that is known to have ended."""
        return self._statuses.get(number)

    def _hear(self) -> None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            message = "the nursery has ended"
            raise RuntimeError(message)
        number, pid, *status = json.loads(line)
        if status:
            self._statuses[number] = status[0]
        else:
            self._pids[number] = pid


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
class WarmService:
    """A service that runs.

    Attributes:
        url: where it listens.
        log: the file that it logs to.
    """

    url: str
    log: Path
    _nursery: Nursery
    _number: int
    _pid: int

    def stop(self) -> int:
        """Ask it to end, as an operator would; returns its exit status."""
        return self._signal(signal.SIGTERM)

    def kill(self) -> int:
        """End it as a power button would."""
        return self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> int:
        if self._nursery.status(self._number) is None:
            os.kill(self._pid, number)
        return self._nursery.wait(self._number)


@dataclass
class WarmInstallation:
    """A data directory, and the settings that all its processes have.

    Attributes:
        nursery: what starts them.
        folder: where everything is.
        settings: by name; they may be changed between processes.
        mutation: a fault of `_faulty` that all of them have; None for the product as it is.
    """

    nursery: Nursery
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
        set_clock(self.folder / "clock", moment)

    def serve(self) -> WarmService | Ended:
        """Start the service, and wait until it listens and has done a round of upkeep.

        Returns:
            The service, or how it ended if it did not come so far.
        """
        self._call()
        birth = self._birth(["serve"], {"SERVICE_PORT": "0"}, stepped=True)
        number, pid = self.nursery.start(birth)
        log = Path(birth["errors"])
        found = None

        def listens() -> bool:
            nonlocal found
            found = _ADDRESS.search(log.read_text()) if log.exists() else None
            return found is not None or not _is_alive(pid)

        _wait(listens, log)
        if found is None:
            return Ended(self.nursery.wait(number), "", log.read_text())
        _wait(self._is_upkept, log)
        return WarmService(found[0], log, self.nursery, number, pid)

    def upkeep(self, service: WarmService) -> None:
        """Let a running service do a round of upkeep, and wait for its end."""
        self._call()
        _wait(self._is_upkept, service.log)

    def run(self, *arguments: str) -> Ended:
        """Run a command to its end."""
        birth = self._birth(list(arguments), {})
        number, _ = self.nursery.start(birth)
        status = self.nursery.wait(number)
        return Ended(status, Path(birth["output"]).read_text(), Path(birth["errors"]).read_text())

    def _call(self) -> None:
        self._rounds += 1
        draft = self._rounds_file.with_suffix(".call")
        draft.write_text(str(self._rounds))
        draft.replace(self._rounds_file)

    @property
    def _rounds_file(self) -> Path:
        return self.folder / "rounds"

    def _is_upkept(self) -> bool:
        done = done_file(self._rounds_file)
        return done.exists() and int(done.read_text()) == self._rounds

    def _birth(
        self, arguments: list[str], settings: Mapping[str, str], *, stepped: bool = False
    ) -> Birth:
        self._processes += 1
        given = {"DATA_DIR": str(self.data_dir), **self.settings, **settings}
        return Birth(
            id=0,
            arguments=arguments,
            environment=environment_with(**given),
            folder=str(self.data_dir),
            clock=str(self.folder / "clock"),
            rounds=str(self._rounds_file) if stepped else None,
            mutation=self.mutation,
            output=str(self.folder / f"{self._processes}.output"),
            errors=str(self.folder / f"{self._processes}.errors"),
        )


def _is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _wait(until: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not until():
        if time.monotonic() > deadline:
            message = f"waited too long; the log:\n{log.read_text()}"
            raise TimeoutError(message)
        time.sleep(_POLL_SECONDS)
