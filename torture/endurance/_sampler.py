"""What a service takes of the machine while it is pressed: memory, files, threads, its queue."""

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from _readers import Connection

__all__ = ["Sampler"]

_SAMPLE_SECONDS = 1.0
_PAGE_KIBIBYTES = 4
_METRIC = re.compile(
    rb"^(dp_writer_waiting_events|dp_days_due|dp_erasures_waiting) (\S+)$", re.MULTILINE
)
_OK = 200


@dataclass
class Sampler:
    """A thread that looks at a service once a second.

    Attributes:
        connection: with a key that may read metrics.
        process_id: of the service.
        data_dir: where its files are.
        day: the number of the simulated day, which others set.
        samples: what was seen, one object each.
    """

    connection: Connection
    process_id: int
    data_dir: Path
    day: int = 0
    samples: list[dict[str, float]] = field(default_factory=list)
    _fault: Exception | None = None
    _stopping: threading.Event = field(init=False, default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and raise what has gone wrong."""
        self._stopping.set()
        self._thread.join()
        self.connection.close()
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        try:
            while not self._stopping.wait(_SAMPLE_SECONDS):
                self.samples.append(self._seen())
        except Exception as error:  # noqa: BLE001 - raised when it is stopped
            self._fault = error

    def _seen(self) -> dict[str, float]:
        status, exposition = self.connection.ask("GET", "/metrics")
        if status != _OK:
            message = f"/metrics answered {status}"
            raise RuntimeError(message)
        gauges = {name.decode(): float(value) for name, value in _METRIC.findall(exposition)}
        return {
            "at": time.monotonic(),
            "day": self.day,
            "waiting_events": gauges["dp_writer_waiting_events"],
            "days_due": gauges["dp_days_due"],
            "erasures_waiting": gauges["dp_erasures_waiting"],
            **_process(self.process_id),
            **_files(self.data_dir),
        }


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
    sizes = {"store": 0.0, "wal": 0.0, "backups": 0.0, "others": 0.0}
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
    if path.name == "dpdau.sqlite3":
        return "store"
    return "wal" if path.name == "dpdau.sqlite3-wal" else "others"
