"""What is noted of every answer of a fuzzed service, and of its process."""

import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import unquote_to_bytes

__all__ = ["Memory", "Tally", "revealed"]

# What only the inside of a program knows: traces, names of its errors and modules, paths.
_INSIDE = re.compile(
    rb"Traceback|File \"|site-packages|\w\.py\b|\b[A-Za-z]\w*(?:Error|Exception)\b"
    rb"|/(?:etc|home|opt|proc|root|srv|tmp|usr|var|work)/\w+|sqlite3\b|msgspec|pyarrow|starlette"
)
_SAMPLE_SECONDS = 0.25
_ALLOWED_MIB = 16.0
_MOST_EXAMPLES = 20


def revealed(answer: bytes, sent: bytes) -> bytes | None:
    """What an answer tells of the inside of a program, unless it only repeats what was sent."""
    known = sent + unquote_to_bytes(sent)
    for found in _INSIDE.finditer(answer):
        if found[0] not in known:
            return found[0]
    return None


@dataclass
class Tally:
    """Counts answers and keeps those that must not be.

    Attributes:
        answers: how many there were, by operation and status.
        findings: what must not be, one sentence each; only the first few are kept.
    """

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many there were."""
        return self.answers.total()

    def note(self, operation: str, status: int, answer: bytes, sent: bytes) -> None:
        """Note one answer.

        Args:
            operation: what was asked.
            status: of the answer.
            answer: its headers and body.
            sent: the request's address, headers and body.
        """
        self.answers[operation, status] += 1
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.found(f"{operation} answered {status} to {sent[:2_000]!r}: {answer[-300:]!r}")
        elif (inside := revealed(answer, sent)) is not None:
            self.found(f"{operation} tells of its inside, {inside!r}, to {sent[:2_000]!r}")

    def found(self, finding: str) -> None:
        """Keep a finding."""
        if len(self.findings) < _MOST_EXAMPLES:
            self.findings.append(finding)

    def statuses(self) -> dict[str, dict[int, int]]:
        """The counts by operation, then by status."""
        table: dict[str, dict[int, int]] = {}
        for (operation, status), count in sorted(self.answers.items()):
            table.setdefault(operation, {})[status] = count
        return table


@dataclass
class Memory:
    """The memory of a process over time.

    Attributes:
        pid: the process.
        samples: its resident memory in MiB, evenly in time.
    """

    pid: int
    samples: list[float] = field(default_factory=list)

    @property
    def highest(self) -> float:
        """The most that it ever had, in MiB, as the kernel knows."""
        return _mebibytes(self.pid, "VmHWM")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take samples until the context ends."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(_SAMPLE_SECONDS):
                self.samples.append(_mebibytes(self.pid, "VmRSS"))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def growth(self) -> tuple[float, float]:
        """By how many MiB it grew in the first and in the second half of the time."""
        if not self.samples:
            return 0.0, 0.0
        middle = self.samples[len(self.samples) // 2]
        return middle - self.samples[0], self.samples[-1] - middle

    def levels_off(self) -> bool:
        """Whether it grew by less than half as much in the second half, or hardly at all."""
        first, second = self.growth()
        return second <= max(first / 2, _ALLOWED_MIB)


def _mebibytes(pid: int, name: str) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0.0
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0
