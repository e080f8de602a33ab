"""The service and the command line as processes that start at once; see `_cradle.py`."""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from _cradle import Birth, Call
from _harness import environment_with

__all__ = ["Cradle", "DiedAtBirthError", "Newborn"]

_CRADLE = Path(__file__).with_name("_cradle.py")
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_SECONDS = 0.003
_MOST_SECONDS = 60.0


class DiedAtBirthError(Exception):
    """A service ended before it listened; carries its status and what it printed."""

    def __init__(self, status: int, printed: str) -> None:
        super().__init__(f"ended with {status} before it listened:\n{printed}")
        self.status, self.printed = status, printed


@dataclass
class Newborn:
    """A process of the product.

    Attributes:
        number: of the process.
        log: the file with what it prints.
        url: where it listens, if it is a service.
    """

    number: int
    log: Path
    url: str = ""
    _status: int | None = None

    @property
    def printed(self) -> str:
        """What it printed so far."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def ended(self, *, block: bool = False) -> int | None:
        """Its exit status, negative if a signal ended it; None while it lives."""
        if self._status is None:
            number, status = os.waitpid(self.number, 0 if block else os.WNOHANG)
            if number:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def wait(self) -> int:
        """Wait until it has ended by itself, and kill it if it never does; gives its status."""
        deadline = time.monotonic() + _MOST_SECONDS
        while (status := self.ended()) is None:
            if time.monotonic() > deadline:
                self.kill()
                message = f"it did not end within {_MOST_SECONDS:g} seconds:\n{self.printed}"
                raise RuntimeError(message)
            time.sleep(_LOOK_SECONDS)
        return status

    def stop(self) -> int:
        """Ask it to end, as an operator would; gives its status."""
        if self.ended() is None:
            os.kill(self.number, signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it at once, if it lives."""
        if self.ended() is None:
            os.kill(self.number, signal.SIGKILL)
            self.ended(block=True)


class Cradle:
    """Where processes are born that have a library loaded.

    This process becomes the one that collects orphans, as long as the cradle is open.
    """

    def __init__(self, preload: Sequence[Path], launcher: Sequence[str] = (str(_CRADLE),)) -> None:
        """Start it.

        Args:
            preload: libraries that each process has loaded before any other.
            launcher: what Python runs.
        """
        self._preload = {"LD_PRELOAD": " ".join(map(str, preload))}
        self._collect_orphans(collect=True)
        path = ":".join(filter(None, sys.path))
        self._parent = subprocess.Popen(
            [sys.executable, *launcher],
            env=environment_with(PYTHONPATH=path, **self._preload),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._heard() != "ready":
            message = "the cradle did not get ready"
            raise RuntimeError(message)

    def bear(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        clock: Path,
        folder: Path,
        log: Path,
        output: Path | None = None,
        first: Sequence[Call] = (),
    ) -> Newborn:
        """Start a command of the product.

        Args:
            arguments: of its command line.
            environment: its settings, and what the library needs.
            clock: the file that sets its time.
            folder: where it works.
            log: a new file for what it prints.
            output: another one for its standard output.
            first: what it calls before.
        """
        birth = Birth(
            arguments=[str(clock), *arguments],
            environment=environment_with(**self._preload, **environment),
            folder=str(folder),
            output=str(output or log),
            errors=str(log),
            first=first,
        )
        if self._parent.stdin is None:
            raise TypeError
        self._parent.stdin.write(json.dumps(birth) + "\n")
        self._parent.stdin.flush()
        return Newborn(int(self._heard()), log)

    def serve(
        self,
        environment: Mapping[str, str],
        *,
        clock: Path,
        folder: Path,
        log: Path,
        first: Sequence[Call] = (),
    ) -> Newborn:
        """Start the service and wait until it listens; takes what `bear` takes.

        Raises:
            DiedAtBirthError: if it ends before.
        """
        settings = {"SERVICE_PORT": "0", **environment}
        child = self.bear(["serve"], settings, clock=clock, folder=folder, log=log, first=first)
        deadline = time.monotonic() + _MOST_SECONDS
        while not (found := _ADDRESS.search(child.printed)):
            status = child.ended()
            if status is not None:
                raise DiedAtBirthError(status, child.printed)
            if time.monotonic() > deadline:
                child.kill()
                message = f"the service did not listen in time:\n{child.printed}"
                raise RuntimeError(message)
            time.sleep(_LOOK_SECONDS)
        child.url = found[0]
        return child

    def close(self) -> None:
        """End it; what was born goes on."""
        if self._parent.stdin is not None:
            self._parent.stdin.close()
        self._parent.wait()
        if self._parent.stdout is not None:
            self._parent.stdout.close()
        self._collect_orphans(collect=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _heard(self) -> str:
        if self._parent.stdout is None:
            raise TypeError
        return self._parent.stdout.readline().strip()

    @staticmethod
    def _collect_orphans(*, collect: bool) -> None:
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(collect), 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")
