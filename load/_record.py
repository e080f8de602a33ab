"""What was sent and what was acknowledged, on disk before anyone could forget it.

The first line is the traffic; then a line for each batch that is sent, and one once it is
acknowledged. What the batches hold follows from the traffic.
"""

from collections import defaultdict
from pathlib import Path
from typing import IO, Self

import msgspec

from _traffic import Traffic

__all__ = ["Outcomes", "Recorder", "begin", "read"]

_SENT, _ACKNOWLEDGED = "sent", "acknowledged"


class Outcomes(msgspec.Struct, frozen=True):
    """What became of every batch.

    Attributes:
        traffic: what the batches hold.
        acknowledged: by client, for each batch that was sent, in order.
    """

    traffic: Traffic
    acknowledged: dict[int, list[bool]]

    @property
    def acknowledged_events(self) -> int:
        """How many events the service promised to keep."""
        return self.traffic.batch_events * sum(map(sum, self.acknowledged.values()))


class Recorder:
    """Adds to a record that was begun."""

    def __init__(self, path: Path) -> None:
        with path.open(encoding="utf-8") as file:
            self.traffic = msgspec.json.decode(file.readline(), type=Traffic)
        self._file: IO[str] = path.open("a", encoding="utf-8", buffering=1)

    def sent(self, client: int, batch: int) -> None:
        """Note that a batch is about to be sent."""
        self._file.write(f"{_SENT} {client} {batch}\n")

    def acknowledged(self, client: int, batch: int) -> None:
        """Note that the service said it is stored."""
        self._file.write(f"{_ACKNOWLEDGED} {client} {batch}\n")

    def close(self) -> None:
        """End it."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def begin(path: Path, traffic: Traffic) -> None:
    """Begin a record."""
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(traffic) + b"\n")


def read(path: Path) -> Outcomes:
    """Read a record.

    Raises:
        ValueError: if a batch was acknowledged that was not sent, or sent out of order.
    """
    traffic, *lines = path.read_text(encoding="utf-8").splitlines()
    acknowledged: dict[int, list[bool]] = defaultdict(list)
    for line in lines:
        what, client, batch = line.split()
        batches = acknowledged[int(client)]
        if what == _SENT and int(batch) == len(batches):
            batches.append(False)
        elif what == _ACKNOWLEDGED and int(batch) < len(batches):
            batches[int(batch)] = True
        else:
            message = f"{path}: {line!r} is out of order"
            raise ValueError(message)
    return Outcomes(msgspec.json.decode(traffic, type=Traffic), dict(acknowledged))
