"""The service and the command line as processes whose clock and end others decide."""

import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Self

from _harness import environment_with
from _launch import set_clock

__all__ = ["Installation", "Running"]

_LAUNCH = Path(__file__).with_name("_launch.py")
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
_STOP_SECONDS = 60.0


@dataclass
class Running:
    """A service that was started; leaving its context kills it if it is still there.

    Attributes:
        process: the process.
        url: where it listens.
        log: the lines it has written so far, which grow while it runs.
    """

    process: subprocess.Popen[str]
    url: str
    log: list[str]
    _reader: Thread

    def kill(self) -> None:
        """End it as a power button would, and wait until it is gone."""
        self.process.kill()
        self.wait()

    def stop(self) -> int:
        """Ask it to end, as an operator would; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait until it has ended by itself; returns its exit status."""
        status = self.process.wait(_STOP_SECONDS)
        self._reader.join()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        if self.process.stderr is not None:
            self.process.stderr.close()


@dataclass(frozen=True)
class Installation:
    """A data directory with the settings that all its processes have.

    Attributes:
        data_dir: where the data is.
        settings: by name, such as `LATENESS_HOURS`.
        clock: the file that sets the time of all its processes.
        preload: libraries that are loaded into each before any other.
    """

    data_dir: Path
    settings: Mapping[str, str]
    clock: Path
    preload: Sequence[Path] = field(default=())

    def set_clock(self, moment: datetime | timedelta) -> None:
        """Set the time of all processes, running ones too."""
        set_clock(self.clock, moment)

    def serve(self, **settings: str) -> Running:
        """Start the service on a free port and wait until it listens.

        Args:
            settings: further ones, for this process alone.

        Raises:
            RuntimeError: if it ends before it listens; the message holds its log.
        """
        process = subprocess.Popen(
            self._command("serve"),
            env=self._environment({"SERVICE_PORT": "0", **settings}),
            cwd=self.data_dir,
            stderr=subprocess.PIPE,
            text=True,
        )
        if process.stderr is None:
            message = "the service has no log"
            raise RuntimeError(message)
        log: list[str] = []
        for line in process.stderr:
            log.append(line)
            if found := _ADDRESS.search(line):
                reader = Thread(target=log.extend, args=(process.stderr,))
                reader.start()
                return Running(process, found[0], log, reader)
        status = process.wait()
        process.stderr.close()
        message = f"The service ended with {status} before it listened:\n{''.join(log)}"
        raise RuntimeError(message)

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self._command(*arguments),
            env=self._environment(settings),
            cwd=self.data_dir,
            check=False,
            capture_output=True,
            text=True,
        )

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(_LAUNCH), str(self.clock), *arguments]

    def _environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        given = {"DATA_DIR": str(self.data_dir), **self.settings, **settings}
        if self.preload:
            given["LD_PRELOAD"] = " ".join(map(str, self.preload))
        return environment_with(**given)
