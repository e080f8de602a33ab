"""Ingestion: from decoded events to durable membership.

What is stored depends on the set of (user, day) pairs and the order of arrival only, so sending
a batch again changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.hashing import Pseudonymizer
from dpdau.model.calendar import Calendar
from dpdau.model.events import EventColumns
from dpdau.pipeline.erase import erase_pseudonyms, record_erasure
from dpdau.pipeline.ports import Store, Transaction
from dpdau.pipeline.rekeying import admit

__all__ = ["IngestOutcome", "Ingestor", "PseudonymousEvents"]


@dataclass(frozen=True, slots=True)
class PseudonymousEvents:
    """Events whose user ids have been replaced by pseudonyms; columns as in `EventColumns`.

    Attributes:
        pseudonyms: n keyed hashes, uint64.
        days: n day ordinals, int32.
        adds: n booleans; True for "+".
        whole_user: n booleans; True where the whole person is erased.
        previous: n keyed hashes under the previous secret; None unless a rotation runs, and once
            nobody has to be moved any more.
    """

    pseudonyms: NDArray[np.uint64]
    days: NDArray[np.int32]
    adds: NDArray[np.bool_]
    whole_user: NDArray[np.bool_]
    previous: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.pseudonyms)

    def select(self, positions: NDArray[np.bool_]) -> "PseudonymousEvents":
        """The events at these positions."""
        return PseudonymousEvents(
            self.pseudonyms[positions],
            self.days[positions],
            self.adds[positions],
            self.whole_user[positions],
        )

    @classmethod
    def concatenate(cls, batches: Sequence["PseudonymousEvents"]) -> "PseudonymousEvents":
        """Several batches of one pseudonymizer as one, in order."""
        if len(batches) == 1:
            return batches[0]
        previous = [batch.previous for batch in batches if batch.previous is not None]
        return cls(
            np.concatenate([batch.pseudonyms for batch in batches]),
            np.concatenate([batch.days for batch in batches]),
            np.concatenate([batch.adds for batch in batches]),
            np.concatenate([batch.whole_user for batch in batches]),
            np.concatenate(previous) if previous else None,
        )


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """What became of a group of events; for operators only.

    Attributes:
        events: how many were applied or refused.
        refused_after_erasure: how many were dated before their user's erasure.
        erased_users: how many people were erased by events.
    """

    events: int
    refused_after_erasure: int
    erased_users: int


class Ingestor:
    """Applies events to the store."""

    def __init__(self, store: Store, pseudonymizer: Pseudonymizer, calendar: Calendar) -> None:
        self._store = store
        self._pseudonymizer = pseudonymizer
        self._calendar = calendar

    def pseudonymize(self, events: EventColumns) -> PseudonymousEvents:
        """Replace user ids by pseudonyms; raw ids go no further than this."""
        return PseudonymousEvents(
            self._pseudonymizer.pseudonyms(events.user_ids),
            events.days,
            events.adds,
            events.whole_user,
            self._pseudonymizer.previous_pseudonyms(events.user_ids),
        )

    def apply(self, events: PseudonymousEvents) -> IngestOutcome:
        """Store events in one transaction, which is durable when this returns.

        The last operation wins per user and day, in order of arrival. Events of an erased
        person that are dated before the erasure are dropped and counted.

        Raises:
            WrongSecretError: if another process has replaced the secret; nothing was stored.
        """
        leaving = events.whole_user & ~events.adds
        with self._store.write() as transaction:
            admit(transaction, self._pseudonymizer, events.pseudonyms, events.previous)
            erased = 0
            if leaving.any():
                erased, events_kept = self._apply_erasures(transaction, events, leaving)
            else:
                events_kept = events
            refused = _apply_days(transaction, events_kept) if len(events_kept) else 0
        return IngestOutcome(len(events), refused, erased)

    def _apply_erasures(
        self, transaction: Transaction, events: PseudonymousEvents, leaving: NDArray[np.bool_]
    ) -> tuple[int, PseudonymousEvents]:
        """Erase whoever a batch erases; returns how many, and the events that still count.

        Only what follows a person's last erasure in the batch can leave a trace, so it is enough to
        erase everyone first and then to apply the events behind those erasures.
        """
        pseudonyms, user = np.unique(events.pseudonyms, return_inverse=True)
        positions = np.flatnonzero(leaving)
        last_erasure = np.full(len(pseudonyms), -1)
        np.maximum.at(last_erasure, user[positions], positions)
        erased_on = np.zeros(len(pseudonyms), dtype=np.int32)
        np.maximum.at(erased_on, user[positions], events.days[positions])

        erased = last_erasure >= 0
        _, touched = erase_pseudonyms(
            transaction, pseudonyms[erased], erased_on[erased], self._calendar.today()
        )
        record_erasure(transaction, self._calendar.now(), int(erased.sum()), touched)
        kept = ~leaving & (np.arange(len(events)) > last_erasure[user])
        return int(erased.sum()), events.select(kept)


def _apply_days(transaction: Transaction, events: PseudonymousEvents) -> int:
    """Apply events that concern single days; returns how many were refused."""
    pseudonyms, user = np.unique(events.pseudonyms, return_inverse=True)
    days, adds = events.days, events.adds
    refused = 0
    tombstones = transaction.tombstones(pseudonyms)
    if len(tombstones):
        erased_on = np.zeros(len(pseudonyms), dtype=np.int32)
        erased_on[np.searchsorted(pseudonyms, tombstones.pseudonyms)] = tombstones.erased_on
        accepted = days >= erased_on[user]
        refused = int(len(accepted) - accepted.sum())
        user, days, adds = user[accepted], days[accepted], adds[accepted]
    user, days, adds = _last_per_user_and_day(user, days, adds)

    indices = transaction.user_indices(pseudonyms)
    joining = np.zeros(len(pseudonyms), dtype=np.bool_)
    joining[user[adds]] = True
    unknown = joining & (indices < 0)
    if unknown.any():
        indices[unknown] = transaction.allot_indices(pseudonyms[unknown])

    for day in np.unique(days).tolist():
        today = days == day
        joins = indices[user[today & adds]]
        leaves = indices[user[today & ~adds]]
        transaction.update_members(day, BitMap(joins), BitMap(leaves[leaves >= 0]))
    return refused


def _last_per_user_and_day(
    user: NDArray[np.intp], days: NDArray[np.int32], adds: NDArray[np.bool_]
) -> tuple[NDArray[np.intp], NDArray[np.int32], NDArray[np.bool_]]:
    """Keep the last of several events of one user on one day."""
    pair = (user.astype(np.int64) << 32) | days
    _, first_from_the_end = np.unique(pair[::-1], return_index=True)
    kept = len(pair) - 1 - first_from_the_end
    return user[kept], days[kept], adds[kept]
