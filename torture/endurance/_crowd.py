"""A population that lives day by day, what it sends, and what a store must hold of it.

Everything is drawn from a seed, so what the service acknowledged can be compared person by person
and day by day. On one day no pair of user and day is told of twice, so a day's events may be sent
over and over, and broken off after the first whole round, without leaving any doubt.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

__all__ = ["HISTORY_DAYS", "Crowd", "DayOfLife", "Limiter", "bodies_of", "user_id"]

HISTORY_DAYS = 61
"""What a store holds before the first day; retention then drops a day every day."""

_ALIVE_AT_FIRST = 0.6
_JOIN, _LEAVE = 0.005, 0.002
_ACTIVE = 0.1
_LATE, _RETRACTED, _RETRACTED_LATER = 0.03, 0.02, 0.002
_LATER_DAYS = 6
_REPLAYED_DAYS = 5


@dataclass(frozen=True, slots=True)
class DayOfLife:
    """What happens on one day.

    Attributes:
        users: n numbers of users of events.
        days: n day numbers, counted as the crowd counts.
        adds: n booleans; True for "+".
        erased: who asks to be erased.
        leaving: who is erased by an event; of neither of them is there any other event.
    """

    users: NDArray[np.int64]
    days: NDArray[np.int64]
    adds: NDArray[np.bool_]
    erased: NDArray[np.int64]
    leaving: NDArray[np.int64]


@dataclass
class Crowd:
    """Everyone there is or will be, and on which days the store must count them.

    Attributes:
        users: how many people can ever join.
        days: how many days are lived after those of the history.
        first: the day number 0, on which the history begins.
        erased_a_day: how many are erased on a day, half of them by events.
        seed: the same seed lives the same life.
    """

    users: int
    days: int
    first: date
    erased_a_day: int = 40
    seed: int = 20_251_007
    active: NDArray[np.bool_] = field(init=False)
    known: NDArray[np.bool_] = field(init=False)
    _alive: NDArray[np.bool_] = field(init=False)
    _erased_on: NDArray[np.int64] = field(init=False)
    _replayed: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self._draw = np.random.default_rng(self.seed)  # noqa: TID251 - made-up people, no noise
        self.active = np.zeros((HISTORY_DAYS + self.days + 1, self.users), dtype=np.bool_)
        self.known = np.zeros(self.users, dtype=np.bool_)
        self._alive = np.arange(self.users) < _ALIVE_AT_FIRST * self.users
        self._joined = int(self._alive.sum())
        self._erased_on = np.full(self.users, -1)
        self._replayed = np.zeros(0, dtype=np.int64)

    def day(self, number: int) -> date:
        """The calendar day of a number."""
        return self.first + timedelta(days=number)

    def history(self) -> DayOfLife:
        """What was sent before the first day: as much as is sent later, so that nothing has to grow."""
        drawn = self._draw.random((HISTORY_DAYS, self.users), dtype=np.float32)
        days, users = np.nonzero((drawn < _ACTIVE) & self._alive)
        nobody = np.zeros(0, dtype=np.int64)
        return DayOfLife(users, days, np.ones(len(users), np.bool_), nobody, nobody)

    def live(self, today: int) -> DayOfLife:
        """What happens on a day; nothing of it is true before it is applied."""
        joins = max(int(_JOIN * self.users), 1)
        self._alive[self._joined : self._joined + joins] = True
        self._joined = min(self._joined + joins, self.users)
        self._alive[self._some(self._alive, _LEAVE)] = False

        gone = self._draw.permutation(np.flatnonzero(self._alive & self.known))
        gone = gone[: self.erased_a_day]
        here = self._alive.copy()
        here[gone] = False
        yesterday, earlier = self.active[today - 1], self.active[today - _LATER_DAYS]
        parts = (
            (self._some(here, _ACTIVE), today, True),
            (self._some(here & ~yesterday, _LATE), today - 1, True),
            (self._some(here & yesterday, _RETRACTED), today - 1, False),
            (self._some(here & earlier, _RETRACTED_LATER), today - _LATER_DAYS, False),
            (np.setdiff1d(self._replayed, gone), today - _REPLAYED_DAYS, True),
        )
        users = np.concatenate([users for users, _, _ in parts])
        days = np.concatenate([np.full(len(users), day) for users, day, _ in parts])
        adds = np.concatenate([np.full(len(users), add) for users, _, add in parts])
        # They are told of again as of before, which must not bring them back.
        self._replayed = gone
        half = len(gone) // 2
        return DayOfLife(users, days, adds, gone[:half], gone[half:])

    def apply(self, life: DayOfLife, today: int) -> None:
        """Let what was sent be true."""
        allowed = life.days >= self._erased_on[life.users]
        users, days, adds = (each[allowed] for each in (life.users, life.days, life.adds))
        self.active[days, users] = adds
        self.known[users[adds]] = True
        gone = np.concatenate([life.erased, life.leaving])
        self.active[:, gone] = False
        self.known[gone] = False
        self._erased_on[gone] = today

    def window(self, day: int, size: int) -> NDArray[np.bool_]:
        """Who is active in the window that ends on a day."""
        there: NDArray[np.bool_] = np.any(self.active[max(day - size + 1, 0) : day + 1], axis=0)
        return there

    def _some(self, of: NDArray[np.bool_], share: float) -> NDArray[np.int64]:
        drawn = self._draw.random(self.users, dtype=np.float32) < share
        return np.flatnonzero(drawn & of)


@dataclass
class Limiter:
    """The flippancy limiter in a few lines: who a bounded series counts.

    Attributes:
        runs: how often one user may rise in a period.
    """

    runs: int
    users: int

    def __post_init__(self) -> None:
        self._current = np.zeros(self.users, dtype=np.bool_)
        self._rises = np.zeros(self.users, dtype=np.int8)

    def advance(self, present: NDArray[np.bool_]) -> int:
        """How many are counted on the next day."""
        rises = present & ~self._current & (self._rises < self.runs)
        self._current &= present
        self._current |= rises
        self._rises += rises
        return int(self._current.sum())


def user_id(number: int) -> str:
    """The id of a person."""
    return f"user-{number:07d}"


def bodies_of(
    crowd: Crowd, life: DayOfLife, connections: int, batch: int
) -> Sequence[Sequence[bytes]]:
    """A day's events as JSON bodies for each connection; each has people of its own."""
    days = np.unique(life.days).tolist()
    ends = {
        (day, add): f'","op":"{"+" if add else "-"}","day":"{crowd.day(day)}"}}'
        for day in days
        for add in (True, False)
    }
    found = []
    for connection in range(connections):
        own = life.users % connections == connection
        columns = (column[own].tolist() for column in (life.users, life.days, life.adds))
        texts = [
            f'{{"user_id":"{user_id(user)}{ends[day, add]}'
            for user, day, add in zip(*columns, strict=True)
        ]
        found.append(list(_batches(texts, batch)))
    return found


def _batches(texts: Sequence[str], size: int) -> Iterable[bytes]:
    for at in range(0, len(texts), size):
        yield f'{{"events":[{",".join(texts[at : at + size])}]}}'.encode()
