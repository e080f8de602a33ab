"""What was sent and what was acknowledged, on disk before anyone could forget it.

The first line is the traffic; then a line for each batch that is sent, and one once it is
acknowledged or refused. What the batches hold follows from the traffic.
"""

from collections import defaultdict
from enum import StrEnum
from pathlib import Path
from typing import IO, Self

import msgspec

from _traffic import Traffic

__all__ = ["Outcome", "Outcomes", "Recorder", "begin", "read"]


class Outcome(StrEnum):
    """What became of a batch; as long as nothing came back, it is only known to be sent."""

    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"


class Outcomes(msgspec.Struct, frozen=True):
    """What became of every batch.

    Attributes:
        traffic: what the batches hold.
        batches: by client, of each batch that was sent, in order.
    """

    traffic: Traffic
    batches: dict[int, list[Outcome]]

    @property
    def acknowledged_events(self) -> int:
        """How many events the service promised to keep."""
        counts = (outcomes.count(Outcome.ACKNOWLEDGED) for outcomes in self.batches.values())
        return self.traffic.batch_events * sum(counts)


class Recorder:
    """Adds to a record that was begun."""

    def __init__(self, path: Path) -> None:
        with path.open(encoding="utf-8") as file:
            self.traffic = msgspec.json.decode(file.readline(), type=Traffic)
        self._file: IO[str] = path.open("a", encoding="utf-8", buffering=1)

    def note(self, client: int, batch: int, outcome: Outcome) -> None:
        """Note that a batch is about to be sent, or what the service said of it."""
        self._file.write(f"{outcome} {client} {batch}\n")

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
        ValueError: if a batch was answered that was not sent, or sent out of order.
    """
    traffic, *lines = path.read_text(encoding="utf-8").splitlines()
    batches: dict[int, list[Outcome]] = defaultdict(list)
    for line in lines:
        what, client, number = line.split()
        outcome, found = Outcome(what), batches[int(client)]
        if outcome is Outcome.SENT and int(number) == len(found):
            found.append(outcome)
        elif outcome is not Outcome.SENT and int(number) < len(found):
            found[int(number)] = outcome
        else:
            message = f"{path}: {line!r} is out of order"
            raise ValueError(message)
    return Outcomes(msgspec.json.decode(traffic, type=Traffic), dict(batches))
