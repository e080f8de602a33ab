"""What a load test sends: the same for the same seed, client and days.

Each client has people of its own, so that the order of what happens to a person is the order in
which that one client sent it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["Batch", "Question", "Step", "Traffic"]

_TAKEN_BACK = 0.1
_EVENTS = "events"
_SHARES = {_EVENTS: 0.8, "dau": 0.08, "mau": 0.06, "budget": 0.06}
# Days close hours after their end; the first of four has closed under every sensible setting.
_DAYS = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one request.

    Attributes:
        number: how many batches its client sent before.
        user_ids: of each event.
        days: of each event.
        adds: of each event; True for "+".
    """

    number: int
    user_ids: list[str]
    days: list[date]
    adds: list[bool]

    def __len__(self) -> int:
        return len(self.user_ids)

    def body(self) -> str:
        """The request's body, as JSON."""
        events = [
            {"user_id": user_id, "op": "+", "day": day}
            if add
            # Whatever DELETE_SCOPE says, nobody is erased.
            else {"user_id": user_id, "op": "-", "day": day, "scope": "day"}
            for user_id, day, add in zip(self.user_ids, self.days, self.adds, strict=True)
        ]
        return msgspec.json.encode({"events": events}).decode()


@dataclass(frozen=True, slots=True)
class Question:
    """A request that reads.

    Attributes:
        path: with its query.
        route: without the values in it, as reports name it.
    """

    path: str
    route: str


Step: TypeAlias = Batch | Question


class Traffic(msgspec.Struct, frozen=True):
    """What all clients of a test send.

    Attributes:
        seed: of everything that is drawn.
        days: on which people are active; the first one is asked for.
        people: how many each client has.
        batch_events: how many events a request has.
    """

    seed: int
    days: tuple[date, ...]
    people: int = 1_000
    batch_events: int = 100

    @classmethod
    def until(cls, today: date, seed: int) -> "Traffic":
        """The traffic of a test on a day."""
        return cls(seed, tuple(today - timedelta(days=back) for back in range(_DAYS - 1, -1, -1)))

    def steps(self, client: int) -> Iterator[Step]:
        """What one client sends, without end."""
        draws = np.random.default_rng([self.seed, client])  # noqa: TID251 - made-up events, no noise
        kinds, shares = list(_SHARES), list(_SHARES.values())
        batches = 0
        while True:
            kind = draws.choice(kinds, p=shares)
            if kind == _EVENTS:
                yield self._batch(draws, client, batches)
                batches += 1
            else:
                yield self._question(str(kind))

    def batches(self, client: int, count: int) -> Iterator[Batch]:
        """The first batches of a client."""
        steps = self.steps(client)
        found = 0
        while found < count:
            step = next(steps)
            if isinstance(step, Batch):
                yield step
                found += 1

    def _batch(self, draws: np.random.Generator, client: int, number: int) -> Batch:  # noqa: TID251 - as above
        size = self.batch_events
        people: NDArray[np.int64] = draws.integers(self.people, size=size)
        return Batch(
            number,
            [f"load-{self.seed}-{client}-{person}" for person in people.tolist()],
            [self.days[day] for day in draws.integers(len(self.days), size=size).tolist()],
            (draws.random(size) >= _TAKEN_BACK).tolist(),
        )

    def _question(self, kind: str) -> Question:
        day = self.days[0]
        return {
            "dau": Question(f"/dau/{day}", "/dau/{day}"),
            "mau": Question(f"/mau?end={day}", "/mau"),
            "budget": Question("/budget/dau", "/budget/{metric}"),
        }[kind]
