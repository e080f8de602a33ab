"""A reader who asks twenty times a second and notes how long each answer takes.

Run as a process of its own, so that nobody else's work is taken for the service's: python
_readers.py PORT. The key comes as the first line of the standard input; every further line is an
order, a JSON object with `day`, a number, and `paths`, which are asked in turn until the next one.
When there are no more, what was noted is printed as JSON.
"""

import http.client
import json
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Connection", "Readers"]

_READ_SECONDS = 0.05
_TIMEOUT_SECONDS = 300
_OK = 200


@dataclass(frozen=True)
class Connection:
    """A connection that is kept, and made again when it was idle for too long.

    Attributes:
        port: of a service on this machine.
        key: to ask with.
    """

    port: int
    key: str
    _http: http.client.HTTPConnection = field(init=False, repr=False)

    def __post_init__(self) -> None:
        made = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_SECONDS)
        object.__setattr__(self, "_http", made)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Ask; gives status and body. Whatever is asked may be asked again."""
        try:
            return self._ask(method, path, body)
        except (http.client.RemoteDisconnected, ConnectionError):
            self._http.close()
            return self._ask(method, path, body)

    def close(self) -> None:
        """End it."""
        self._http.close()

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        headers = {"X-API-Key": self.key}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self._http.request(method, path, body, headers)
        answer = self._http.getresponse()
        return answer.status, answer.read()


@dataclass
class Readers:
    """The reader's notes.

    Attributes:
        connection: to the service.
        waits: milliseconds by day.
        refused: answers that were not 200, by status.
    """

    connection: Connection
    waits: dict[int, list[float]] = field(default_factory=dict)
    refused: dict[int, int] = field(default_factory=dict)
    _stopping: threading.Event = field(init=False, default_factory=threading.Event)
    _order: tuple[int, Sequence[str]] = (0, ())

    def follow(self, orders: Iterable[str]) -> None:
        """Ask until there are no more orders."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            for line in orders:
                order = json.loads(line)
                self._order = (order["day"], order["paths"])
        finally:
            self._stopping.set()
            thread.join()

    def summary(self) -> dict[str, dict[str, dict[str, float]] | dict[str, int]]:
        """Reads, p50 and p99 of each day, and what was refused."""
        days = {}
        for day, waits in self.waits.items():
            p50, p99 = np.quantile(waits, (0.5, 0.99)).tolist()
            days[str(day)] = {"reads": len(waits), "read_p50_ms": p50, "read_p99_ms": p99}
        return {"days": days, "refused": {str(k): count for k, count in self.refused.items()}}

    def _run(self) -> None:
        turn = 0
        while not self._stopping.wait(_READ_SECONDS):
            day, paths = self._order
            if not paths:
                continue
            turn += 1
            started = time.perf_counter()
            try:
                status, _ = self.connection.ask("GET", paths[turn % len(paths)])
            except OSError:
                status = 0
            self.waits.setdefault(day, []).append(1e3 * (time.perf_counter() - started))
            if status != _OK:
                self.refused[status] = self.refused.get(status, 0) + 1


def main() -> None:
    """Follow the orders of the standard input."""
    port, key = int(sys.argv[1]), sys.stdin.readline().strip()
    readers = Readers(Connection(port, key))
    readers.follow(sys.stdin)
    print(json.dumps(readers.summary()), flush=True)


if __name__ == "__main__":
    main()
