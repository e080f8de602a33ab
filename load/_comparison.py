"""Whether a store holds what was acknowledged, person by person.

It reads the store's file and so needs what only its operator has: the file and its secret.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np

from _record import Outcome, Outcomes
from dpdau.hashing import Pseudonymizer
from dpdau.pipeline.ports import Reader

__all__ = ["DayComparison", "Promise", "compare", "promises"]


@dataclass(frozen=True, slots=True)
class Promise:
    """What must be true of a day.

    Attributes:
        present: who must be active on it.
        absent: who must not be.
        doubtful: about whom some request had no answer: it was stored, or it was not.
    """

    present: frozenset[str]
    absent: frozenset[str]
    doubtful: frozenset[str]


@dataclass(frozen=True, slots=True)
class DayComparison:
    """What a store says of a day.

    Attributes:
        day: which one.
        expected: how many people must be active.
        doubtful: how many may be or not.
        lost: how many of those who must be active are not, and of those who must not be are.
        stored: how many are active in all, whoever sent them.
    """

    day: date
    expected: int
    doubtful: int
    lost: int
    stored: int

    @property
    def is_exact(self) -> bool:
        """Whether the store holds these people and no others."""
        return not self.lost and self.expected <= self.stored <= self.expected + self.doubtful


def promises(outcomes: Outcomes) -> Mapping[date, Promise]:
    """What the answers promise: the last acknowledged operation of each person and day wins.

    Of a batch that was refused nothing may be there.
    """
    last: dict[date, dict[str, bool]] = defaultdict(dict)
    doubtful: dict[date, set[str]] = defaultdict(set)
    for client, found in outcomes.batches.items():
        batches = outcomes.traffic.batches(client, len(found))
        for batch, outcome in zip(batches, found, strict=True):
            if outcome is Outcome.REFUSED:
                continue
            for user_id, day, add in zip(batch.user_ids, batch.days, batch.adds, strict=True):
                if outcome is Outcome.ACKNOWLEDGED:
                    last[day][user_id] = add
                else:
                    # A request without an answer may even be stored after later ones.
                    doubtful[day].add(user_id)
    return {
        day: Promise(
            present=frozenset(_certain(last[day], doubtful[day], add=True)),
            absent=frozenset(_certain(last[day], doubtful[day], add=False)),
            doubtful=frozenset(doubtful[day]),
        )
        for day in sorted(last.keys() | doubtful.keys())
    }


def compare(
    promised: Mapping[date, Promise], reader: Reader, pseudonymizer: Pseudonymizer
) -> list[DayComparison]:
    """Look up every person of every day."""
    found = []
    for day, promise in promised.items():
        members = reader.members(day.toordinal(), day.toordinal())

        def active(user_ids: frozenset[str], members: object = members) -> int:
            indices = reader.user_indices(pseudonymizer.pseudonyms(sorted(user_ids)))
            return int(np.isin(indices, np.array(members, dtype=np.int64)).sum())

        missing = len(promise.present) - active(promise.present)
        found.append(
            DayComparison(
                day=day,
                expected=len(promise.present),
                doubtful=len(promise.doubtful),
                lost=missing + active(promise.absent),
                stored=len(members),
            )
        )
    return found


def _certain(last: Mapping[str, bool], doubtful: set[str], *, add: bool) -> Iterator[str]:
    return (user_id for user_id, op in last.items() if op is add and user_id not in doubtful)
