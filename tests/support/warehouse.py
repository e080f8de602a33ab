"""A table of events as a warehouse has it, and people who do all that can be done to one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random  # noqa: TID251 - made-up people, no noise
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from support.oracle import Event

__all__ = ["Arrival", "Crowd", "write_events"]

_TICK = timedelta(microseconds=1)
_COLUMNS = {
    "user_id": pa.string(),
    "op": pa.string(),
    "day": pa.date32(),
    "scope": pa.string(),
    "received_at": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True)
class Arrival:
    """An event and when it came."""

    event: Event
    at: datetime

    @property
    def row(self) -> dict[str, Any]:
        event = self.event
        return {
            "user_id": event.user_id,
            "op": "+" if event.add else "-",
            "day": event.day,
            "scope": "user" if event.whole_user else None,
            "received_at": self.at,
        }


def write_events(file: Path, arrivals: Sequence[Arrival]) -> None:
    """Write them as a Parquet file, in the order given."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [arrival.row for arrival in arrivals]
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(_COLUMNS)), file)


@dataclass
class Crowd:
    """People of eight habits, who come and go by chance.

    Attributes:
        random: decides.
        size: how many they are.
        first: the first day of their lives.
    """

    random: Random
    size: int
    first: date

    def arrivals(self, today: date) -> list[Arrival]:
        """What they do on a day, in order."""
        done = [arrival for number in range(self.size) for arrival in self._of(number, today)]
        # Of one moment and person, "-" comes behind "+".
        return sorted(done, key=lambda each: (each.at, not each.event.add))

    def asking_to_be_erased(self) -> list[str]:
        """Who asks for it at the end of a day, beside the events."""
        return [
            f"asker-{n}" for n in range(self.size) if n % 8 == 6 and self.random.random() < 0.05
        ]

    def _of(self, number: int, today: date) -> Iterator[Arrival]:
        by, chance = self.random, self.random.random()
        back = timedelta(days=by.randrange(6))
        name = f"{'asker' if number % 8 == 6 else 'user'}-{number}"
        moment = datetime.combine(today, time(1), UTC) + timedelta(seconds=by.randrange(70_000))

        def arrival(day: date, after: int = 0, *, add: bool = True, whole: bool = False) -> Arrival:
            return Arrival(Event(name, day, add, whole), moment + after * _TICK)

        match number % 8:
            case 0:  # nearly always
                if chance < 0.9:
                    yield arrival(today)
            case 1:  # hardly ever, and sometimes a day ahead of our clock
                if chance < 0.15:
                    yield arrival(today + timedelta(days=chance < 0.03))
            case 2:  # as often on and off as a calendar allows
                if (today - self.first).days % (2 + number // 8 % 6) == 0:
                    yield arrival(today)
            case 3:  # takes days back that may have been published
                yield arrival(today, add=chance < 0.6)
                if by.random() < 0.3:
                    yield arrival(today - back, 1, add=False)
            case 4:  # comes late
                if chance < 0.5:
                    yield arrival(today - back)
            case 5:  # is erased by events, back-dated or not, and returns
                if chance < 0.7:
                    yield arrival(today)
                if by.random() < 0.1:
                    yield arrival(today - back, 1, add=False, whole=True)
                    yield arrival(today, 2, add=by.random() < 0.7)
            case 6:
                if chance < 0.6:
                    yield arrival(today)
            case _:  # says two things at one moment
                if chance < 0.8:
                    yield arrival(today)
                if chance < 0.4:
                    yield arrival(today, add=False)
