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

__all__ = ["HABITS", "Arrival", "Crowd", "Life", "write_events"]

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


@dataclass(frozen=True)
class Life:
    """One person's day, and what decides about it."""

    random: Random
    number: int
    name: str
    first: date
    today: date
    moment: datetime

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def earlier(self) -> date:
        """Today, or one of the five days before."""
        return self.today - timedelta(days=self.random.randrange(6))

    def says(
        self, day: date | None = None, after: int = 0, *, add: bool = True, whole: bool = False
    ) -> Arrival:
        event = Event(self.name, day or self.today, add, whole)
        return Arrival(event, self.moment + after * _TICK)


def nearly_always(life: Life) -> Iterator[Arrival]:
    if life.chance(0.9):
        yield life.says()


def hardly_ever_and_perhaps_a_day_ahead(life: Life) -> Iterator[Arrival]:
    if life.chance(0.15):
        yield life.says(life.today + timedelta(days=life.chance(0.2)))


def as_often_on_and_off_as_there_are_days(life: Life) -> Iterator[Arrival]:
    if (life.today - life.first).days % (2 + life.number % 6) == 0:
        yield life.says()


def takes_days_back_that_may_be_published(life: Life) -> Iterator[Arrival]:
    yield life.says(add=life.chance(0.6))
    if life.chance(0.3):
        yield life.says(life.earlier(), 1, add=False)


def comes_late(life: Life) -> Iterator[Arrival]:
    if life.chance(0.5):
        yield life.says(life.earlier())


def is_erased_by_events_and_returns(life: Life) -> Iterator[Arrival]:
    if life.chance(0.7):
        yield life.says()
    if life.chance(0.1):
        yield life.says(life.earlier(), 1, add=False, whole=True)
        yield life.says(after=2, add=life.chance(0.7))


def asks_to_be_erased_and_returns(life: Life) -> Iterator[Arrival]:
    if life.chance(0.6):
        yield life.says()


def says_two_things_at_one_moment(life: Life) -> Iterator[Arrival]:
    if life.chance(0.8):
        yield life.says()
    if life.chance(0.4):
        yield life.says(add=False)


HABITS = (
    nearly_always,
    hardly_ever_and_perhaps_a_day_ahead,
    as_often_on_and_off_as_there_are_days,
    takes_days_back_that_may_be_published,
    comes_late,
    is_erased_by_events_and_returns,
    asks_to_be_erased_and_returns,
    says_two_things_at_one_moment,
)


@dataclass
class Crowd:
    """People of all habits, who come and go by chance.

    Attributes:
        random: decides.
        size: how many there are of each habit.
        first: the first day of their lives.
    """

    random: Random
    size: int
    first: date

    def arrivals(self, today: date) -> list[Arrival]:
        """What they do on a day, in order."""
        done = [
            arrival
            for habit in HABITS
            for number in range(self.size)
            for arrival in habit(self._life(habit.__name__, number, today))
        ]
        # Of one moment and person, "-" comes behind "+".
        return sorted(done, key=lambda each: (each.at, not each.event.add))

    def asking_to_be_erased(self) -> list[str]:
        """Who asks for it at the end of a day, beside the events."""
        habit = asks_to_be_erased_and_returns.__name__
        return [f"{habit}-{n}" for n in range(self.size) if self.random.random() < 0.05]

    def _life(self, habit: str, number: int, today: date) -> Life:
        seconds = timedelta(seconds=self.random.randrange(70_000))
        moment = datetime.combine(today, time(1), UTC) + seconds
        return Life(self.random, number, f"{habit}-{number}", self.first, today, moment)
