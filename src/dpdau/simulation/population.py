"""A population as products have it: people join, come by habit, pause, return, and leave."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.random import Generator, default_rng  # noqa: TID251 - made-up events, no noise
from numpy.typing import NDArray

from dpdau.errors import InvalidValueError
from dpdau.simulation.arrivals import Arrivals

__all__ = ["Population"]

# Beta(2P, 2(1 − P)) has the mean P; the smaller the sum of its parameters, the more people differ.
_SPREAD = 2.0
_WEEKDAYS = np.array([1.06, 1.08, 1.08, 1.06, 1.02, 0.84, 0.86])
_SHARE_JOINING = 0.3
_MEAN_SPELL_DAYS = 60.0
_MEAN_PAUSE_DAYS = 30.0
_SHARE_ENGAGED = _MEAN_SPELL_DAYS / (_MEAN_SPELL_DAYS + _MEAN_PAUSE_DAYS)
# How many days an event is on its way.
_DELAYS = np.array([0.95, 0.04, 0.01])
_SHARE_RETRACTED = 0.01
_RETRACTION_DELAYS = np.array([0.6, 0.2, 0.1, 0.1])
_SHARE_RETURNING = 0.2
_MEAN_ABSENCE_DAYS = 10.0


@dataclass(frozen=True, slots=True)
class Population:
    """A reproducible stream of events.

    A person who is around and engaged is active on a day with a probability of their own, drawn
    from a Beta distribution with the mean `p_active`, times the factor of the weekday. Three in
    ten join during the time, evenly; everyone goes through spells of engagement (60 days on
    average) and pauses (30). Of all events 4 % arrive a day late and 1 % two days, and 1 % are
    taken back, up to three days later. A share of the people asks to be erased, each on some day
    after joining; one in five of them comes back later.

    Attributes:
        users: how many people.
        p_active: the mean of their daily probabilities, in (0, 1).
        delete_rate: the share of them that is erased, 0 to 1.
        days: how many days.
        end: the last day; what would arrive later does not.
        seed: the same seed gives the same events.

    Raises:
        InvalidValueError: if an attribute is out of its range.
    """

    users: int
    p_active: float
    delete_rate: float
    days: int
    end: date
    seed: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.users < 1:
            raise InvalidValueError("--users", self.users, "at least 1")
        if not 0 < self.p_active < 1:
            raise InvalidValueError("--p-active", self.p_active, "between 0 and 1, both excluded")
        if not 0 <= self.delete_rate <= 1:
            raise InvalidValueError("--delete-rate", self.delete_rate, "a share from 0 to 1")
        if not 1 <= self.days < self.end.toordinal():
            raise InvalidValueError("--days", self.days, f"from 1 to {self.end.toordinal() - 1:,}")
        if self.seed < 0:
            raise InvalidValueError("--seed", self.seed, "at least 0")

    def arrivals(self) -> Iterator[Arrivals]:
        """The events of every day: activity, then what is taken back, then erasures."""
        # Streams of their own, so that the rate of erasures changes nothing else.
        activity_source, erasure_source = default_rng(self.seed).spawn(2)
        people = _People.drawn(self, activity_source)
        erased_on, back_on = self._erasures(people.joined_on, erasure_source)
        on_their_way = _Mail()
        first = self.end.toordinal() - self.days + 1
        for offset in range(self.days):
            day = first + offset
            users = np.flatnonzero(people.active(offset, day, activity_source))
            delays = activity_source.choice(len(_DELAYS), len(users), p=_DELAYS)
            retracted = activity_source.random(len(users)) < _SHARE_RETRACTED
            more = activity_source.choice(len(_RETRACTION_DELAYS), len(users), p=_RETRACTION_DELAYS)
            # Only now, so that erasures change nothing about the others.
            here = (offset <= erased_on[users]) | (offset >= back_on[users])
            on_their_way.send(users[here], day, delays[here], add=True)
            taken_back = here & retracted
            delays = delays[taken_back] + more[taken_back]
            on_their_way.send(users[taken_back], day, delays, add=False)
            yield on_their_way.opened(day, np.flatnonzero(erased_on == offset))

    def _erasures(
        self, joined_on: NDArray[np.int64], source: Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Everyone's day of erasure and of return, as offsets; past the end for never."""
        never = self.days + 1
        erased_on = np.full(self.users, never)
        back_on = np.full(self.users, never)
        chosen = source.permutation(self.users)[: round(self.delete_rate * self.users)]
        erased_on[chosen] = source.integers(joined_on[chosen], self.days)
        returning = chosen[source.random(len(chosen)) < _SHARE_RETURNING]
        absence = source.geometric(1 / _MEAN_ABSENCE_DAYS, len(returning))
        back_on[returning] = erased_on[returning] + absence
        return erased_on, back_on


@dataclass(slots=True)
class _People:
    """What is true of each person; `engaged` changes from day to day."""

    rates: NDArray[np.float64]
    joined_on: NDArray[np.int64]
    engaged: NDArray[np.bool_]

    @classmethod
    def drawn(cls, population: Population, source: Generator) -> "_People":
        count, mean = population.users, population.p_active
        joining = source.random(count) < _SHARE_JOINING
        return cls(
            rates=source.beta(_SPREAD * mean, _SPREAD * (1 - mean), count),
            joined_on=np.where(joining, source.integers(0, population.days, count), 0),
            engaged=source.random(count) < _SHARE_ENGAGED,
        )

    def active(self, offset: int, day: int, source: Generator) -> NDArray[np.bool_]:
        """Who is active on a day, and on to the next one."""
        # `date.toordinal` counts from a Monday.
        rates = self.rates * _WEEKDAYS[(day - 1) % 7]
        active: NDArray[np.bool_] = (
            (source.random(len(rates)) < rates) & self.engaged & (offset >= self.joined_on)
        )
        changing = np.where(self.engaged, 1 / _MEAN_SPELL_DAYS, 1 / _MEAN_PAUSE_DAYS)
        self.engaged ^= source.random(len(rates)) < changing
        return active


_Letters = tuple[NDArray[np.int64], int, bool]


@dataclass(slots=True)
class _Mail:
    """Events on their way, by day of arrival."""

    arriving: dict[int, list[_Letters]] = field(default_factory=lambda: defaultdict(list))

    def send(
        self, users: NDArray[np.int64], day: int, delays: NDArray[np.int64], *, add: bool
    ) -> None:
        """Post events of a day, each with its own delay."""
        for delay in np.unique(delays).tolist():
            self.arriving[day + delay].append((users[delays == delay], day, add))

    def opened(self, day: int, leaving: NDArray[np.int64]) -> Arrivals:
        """What arrives on a day: additions before retractions, and erasures at its end."""
        letters = sorted(self.arriving.pop(day, []), key=lambda letter: not letter[2])
        letters.append((leaving, day, False))
        sizes = [len(users) for users, _, _ in letters]
        whole_user = np.zeros(sum(sizes), dtype=np.bool_)
        whole_user[len(whole_user) - len(leaving) :] = True
        return Arrivals(
            day=day,
            users=np.concatenate([users for users, _, _ in letters]),
            days=np.repeat([told for _, told, _ in letters], sizes).astype(np.int32),
            adds=np.repeat([add for _, _, add in letters], sizes),
            whole_user=whole_user,
        )
