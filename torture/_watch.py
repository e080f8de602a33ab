"""What is watched while a service is pressed: what it takes of the machine, and how readers fare."""

import http.client
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Readers", "Sampler", "request"]

_SAMPLE_SECONDS = 1.0
_READ_SECONDS = 0.05
_PAGE_KIBIBYTES = 4
_METRIC = re.compile(
    rb"^(dp_writer_waiting_events|dp_days_due|dp_erasures_waiting) (\S+)$", re.MULTILINE
)
_OK = 200


def request(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    key: str,
    body: bytes | None = None,
) -> tuple[int, bytes]:
    """Ask on a connection that is kept; gives status and body."""
    headers = {"X-API-Key": key}
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


@dataclass
class _Watch:
    """A thread that does something again and again until it is stopped.

    Attributes:
        port: of the service.
        key: to ask with.
        day: the number of the simulated day, which others set.
        fault: what ended it, if anything did.
    """

    port: int
    key: str
    day: int = 0
    fault: Exception | None = None
    _stopping: threading.Event = field(init=False, default_factory=threading.Event)
    _pause_seconds = _SAMPLE_SECONDS

    def __post_init__(self) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and raise what has gone wrong."""
        self._stopping.set()
        self._thread.join()
        self._connection.close()
        if self.fault is not None:
            raise self.fault

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._pause_seconds):
                self._once()
        except Exception as error:  # noqa: BLE001 - raised when it is stopped
            self.fault = error

    def _ask(self, path: str) -> tuple[int, bytes]:
        try:
            return request(self._connection, "GET", path, self.key)
        except (http.client.RemoteDisconnected, ConnectionResetError):
            # An idle connection is closed after a while.
            self._connection.close()
            return request(self._connection, "GET", path, self.key)

    def _once(self) -> None:
        raise NotImplementedError


@dataclass
class Sampler(_Watch):
    """Looks at a service's process and files.

    Attributes:
        process_id: of the service.
        data_dir: where its files are.
        samples: what was seen, one object each.
    """

    process_id: int = 0
    data_dir: Path = Path()
    samples: list[dict[str, float]] = field(default_factory=list)

    def _once(self) -> None:
        status, exposition = self._ask("/metrics")
        if status != _OK:
            message = f"/metrics answered {status}"
            raise RuntimeError(message)
        gauges = {name.decode(): float(value) for name, value in _METRIC.findall(exposition)}
        self.samples.append(
            {
                "at": time.monotonic(),
                "day": self.day,
                "waiting_events": gauges["dp_writer_waiting_events"],
                "days_due": gauges["dp_days_due"],
                "erasures_waiting": gauges["dp_erasures_waiting"],
                **_process(self.process_id),
                **_files(self.data_dir),
            }
        )


@dataclass
class Readers(_Watch):
    """Asks what readers ask, twenty times a second, and notes how long they wait.

    Attributes:
        paths: what is asked in turn; others set them anew each day.
        waits: milliseconds by day.
        refused: answers that were not 200, by status.
    """

    paths: Sequence[str] = ("/healthz",)
    waits: dict[int, list[float]] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    _pause_seconds = _READ_SECONDS
    _turn = 0

    def _once(self) -> None:
        self._turn += 1
        day, path = self.day, self.paths[self._turn % len(self.paths)]
        started = time.perf_counter()
        status, _ = self._ask(path)
        self.waits.setdefault(day, []).append(1e3 * (time.perf_counter() - started))
        if status != _OK:
            self.refused[status] = self.refused.get(status, 0) + 1


def _process(process_id: int) -> Mapping[str, float]:
    """Memory in mebibytes, open files and threads of a process."""
    here = Path("/proc") / str(process_id)
    resident_pages = int((here / "statm").read_text().split()[1])
    return {
        "resident_mib": resident_pages * _PAGE_KIBIBYTES / 1024,
        "open_files": sum(1 for _ in (here / "fd").iterdir()),
        "threads": sum(1 for _ in (here / "task").iterdir()),
    }


def _files(data_dir: Path) -> Mapping[str, float]:
    """Sizes in mebibytes; files come and go."""
    sizes: dict[str, float] = {"store": 0.0, "wal": 0.0, "backups": 0.0, "others": 0.0}
    for path in data_dir.rglob("*"):
        try:
            size = path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
        sizes[_kind(path, data_dir)] += size / 2**20
    return {f"{name}_mib": size for name, size in sizes.items()}


def _kind(path: Path, data_dir: Path) -> str:
    if path.parent != data_dir:
        return "backups"
    name: Any = path.name
    if name == "dpdau.sqlite3":
        return "store"
    return "wal" if name == "dpdau.sqlite3-wal" else "others"
