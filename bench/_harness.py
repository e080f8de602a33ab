"""What the benchmarks share: events to send, processes to measure, medians, tables, results."""

import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from dpdau.bootstrap import build
from dpdau.config import load_settings

__all__ = [
    "SECRET",
    "Events",
    "environment_with",
    "free_port",
    "highest_mebibytes",
    "keep",
    "made_up_events",
    "median",
    "seconds_of",
    "serving",
    "show",
    "stored_counts",
]

SECRET = "a secret for benchmarks"
RESULTS = Path(__file__).parent / "results"
_START_SECONDS = 120.0


# --- measuring -----------------------------------------------------------------------------


def seconds_of(work: Callable[[], object]) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median(values: Sequence[float]) -> float:
    """The middle one of several runs."""
    return float(statistics.median(values))


def highest_mebibytes() -> float:
    """The most memory that this process has had so far.

    Unlike `ru_maxrss` it does not begin with what the parent had when it started this one.
    """
    status = Path("/proc/self/status").read_text()
    (kibibytes,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kibibytes) / 1024


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> None:
    """Print a table; all columns but the first hold numbers."""
    table = Table(title=title, caption=note or None)
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if position else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)


def keep(name: str, results: Any) -> Path:
    """Write figures to `bench/results/<name>.json`, with the machine they come from."""
    RESULTS.mkdir(exist_ok=True)
    machine = {"cores": len(os.sched_getaffinity(0)), "python": sys.version.split()[0]}
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine, "results": results}, indent=2) + "\n")
    return path


# --- processes -----------------------------------------------------------------------------


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def environment_with(**settings: object) -> dict[str, str]:
    """This process's environment, with settings for another one."""
    given = {name.upper(): str(value) for name, value in settings.items()}
    return os.environ | given  # noqa: TID251 - inherited, not read


@contextmanager
def serving(
    data_dir: Path, *, command: Sequence[str] = ("-m", "dpdau", "serve"), **settings: object
) -> Iterator[int]:
    """Run a service in a process of its own until the context ends.

    Args:
        data_dir: where it keeps its data.
        command: what Python is to run; by default the product itself.
        settings: further settings by name, such as `lateness_hours`.

    Yields:
        Its port, once it is ready.
    """
    port = free_port()
    chosen = {"data_dir": data_dir, "service_port": port, "log_level": "warning", **settings}
    environment = environment_with(**chosen)
    with subprocess.Popen([sys.executable, *command], env=environment) as process:
        try:
            _wait_until_ready(port, process)
            yield port
        finally:
            process.terminate()
            process.wait(_START_SECONDS)


def stored_counts(data_dir: Path, days: Sequence[date]) -> dict[str, int]:
    """True users by day of a store that nobody has open; only who holds its folder can see."""
    settings = load_settings(data_dir=data_dir, hash_salt_secret=SECRET)
    with build(settings) as application, application.store.read() as reader:
        ordinals = {day.isoformat(): day.toordinal() for day in days}
        return {name: len(reader.members(day, day)) for name, day in ordinals.items()}


def _wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.05)
    message = f"The service ended or did not get ready within {_START_SECONDS:g} seconds"
    raise RuntimeError(message)


# --- events --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Events:
    """Events in columns, in order of arrival.

    Attributes:
        users: n numbers of users.
        days: n day ordinals.
        adds: n booleans; True for "+".
    """

    users: NDArray[np.int64]
    days: NDArray[np.int64]
    adds: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.users)

    def counts(self) -> dict[str, int]:
        """Distinct users by day once the last operation of each user and day has won."""
        pair = self.days * (int(self.users.max()) + 1) + self.users
        _, from_the_end = np.unique(pair[::-1], return_index=True)
        last = len(pair) - 1 - from_the_end
        days, counts = np.unique(self.days[last][self.adds[last]], return_counts=True)
        named = (date.fromordinal(day).isoformat() for day in days.tolist())
        return dict(zip(named, counts.tolist(), strict=True))


def made_up_events(
    count: int,
    *,
    users: int,
    days: int,
    end: date,
    first_user: int = 0,
    repeats: float = 0.7,
    retractions: float = 0.02,
    seed: int = 7,
) -> Events:
    """Events of users and days drawn evenly.

    Args:
        count: how many.
        users: how many people there are.
        days: over how many days, the last one being `end`.
        end: the last day.
        first_user: the number of the first one.
        repeats: the share of events whose user and day came before, as long as there are others.
        retractions: the share of "-".
        seed: the same seed gives the same events.
    """
    random = np.random.default_rng(seed)  # noqa: TID251 - made-up events, no noise
    fresh = random.random(count) >= repeats
    fresh[0] = True
    distinct = np.minimum(np.cumsum(fresh), users * days)
    position = (random.random(count) * distinct).astype(np.int64)
    position[fresh] = distinct[fresh] - 1
    pair = random.permutation(users * days)[position]
    first_day = (end - timedelta(days=days - 1)).toordinal()
    return Events(
        first_user + pair // days, first_day + pair % days, random.random(count) >= retractions
    )
