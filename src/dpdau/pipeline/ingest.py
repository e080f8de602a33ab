"""Ingestion: from decoded events to durable membership.

What is stored depends on the set of (user, day) pairs and the order of arrival only, so sending
a batch again changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dpdau.hashing import Pseudonymizer, Sampler
from dpdau.model.calendar import Calendar
from dpdau.model.events import EventColumns
from dpdau.model.pairs import pairs_of
from dpdau.model.sources import ActivitySource
from dpdau.pipeline.erase import erase_pseudonyms, record_erasure
from dpdau.pipeline.ports import Store, Transaction
from dpdau.pipeline.positions import Advance
from dpdau.pipeline.rekeying import admit
from dpdau.pipeline.source import require_source

__all__ = ["IngestOutcome", "Ingestor", "PseudonymousEvents"]

_NOT_HERE = "it takes no events: put them where `dpdau spark publish` or `dpdau spark land` reads"
# Larger groups are applied in parts, so that a day (22 bits for all of the calendar), a user and a
# position fit into one integer of 63 bits.
_MOST_EVENTS = (1 << 20) - 1


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

    def select(self, positions: NDArray[np.bool_] | slice) -> "PseudonymousEvents":
        """The events at these positions."""
        return PseudonymousEvents(
            self.pseudonyms[positions],
            self.days[positions],
            self.adds[positions],
            self.whole_user[positions],
            None if self.previous is None else self.previous[positions],
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

    def __init__(
        self,
        store: Store,
        pseudonymizer: Pseudonymizer,
        calendar: Calendar,
        sampler: Sampler | None = None,
    ) -> None:
        self._store = store
        self._pseudonymizer = pseudonymizer
        self._calendar = calendar
        self._sampler = sampler

    def pseudonymize(self, events: EventColumns) -> PseudonymousEvents:
        """Replace user ids by pseudonyms; raw ids go no further than this.

        Where a sample of the users is kept, events of all others end here: nothing of them, no
        tombstone either, is ever stored.
        """
        pseudonymous = PseudonymousEvents(
            self._pseudonymizer.pseudonyms(events.user_ids),
            events.days,
            events.adds,
            events.whole_user,
            self._pseudonymizer.previous_pseudonyms(events.user_ids),
        )
        if self._sampler is None:
            return pseudonymous
        return pseudonymous.select(self._sampler.sampled(events.user_ids))

    def apply(self, events: PseudonymousEvents, advance: Advance | None = None) -> IngestOutcome:
        """Store events in one transaction, which is durable when this returns.

        The last operation wins per user and day, in order of arrival. Events of an erased
        person that are dated before the erasure are dropped and counted.

        Args:
            events: what is stored.
            advance: the stretch of a stream that they are all of, if they come from one.

        Raises:
            WrongSecretError: if another process has replaced the secret; nothing was stored.
            PositionMovedError: if the store does not stand where the stretch begins; likewise.
            CountedElsewhereError: if the store counts no events of its own; likewise.
        """
        leaving = events.whole_user & ~events.adds
        # People who leave or change their pseudonym concern more than the days of the events, and
        # a stretch of a stream comes after the one before it.
        is_shared = (
            advance is None
            and events.previous is None
            and not leaving.any()
            and len(events) <= _MOST_EVENTS
        )
        with self._store.write(shared=is_shared) as transaction:
            require_source(transaction, ActivitySource.STORE, _NOT_HERE)
            if advance is not None:
                advance.carry_out(transaction)
            admit(transaction, self._pseudonymizer, events.pseudonyms, events.previous)
            erased = 0
            if leaving.any():
                erased, events_kept = self._apply_erasures(transaction, events, leaving)
            else:
                events_kept = events
            starts = range(0, len(events_kept), _MOST_EVENTS)
            parts = [events_kept.select(slice(at, at + _MOST_EVENTS)) for at in starts]
            refused = sum(_apply_days(transaction, part) for part in parts)
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
    last = _last_per_user_and_day(user, days)
    user, days, adds = user[last], days[last], adds[last]

    indices = transaction.user_indices(pseudonyms)
    joining = np.zeros(len(pseudonyms), dtype=np.bool_)
    joining[user[adds]] = True
    unknown = joining & (indices < 0)
    if unknown.any():
        indices[unknown] = transaction.allot_indices(pseudonyms[unknown])

    indices = indices[user]
    # Whoever leaves and was never here is not known now either.
    known = indices >= 0
    transaction.update_pairs(pairs_of(days[known], indices[known], adds[known]))
    return refused


def _last_per_user_and_day(user: NDArray[np.intp], days: NDArray[np.int32]) -> NDArray[np.int64]:
    """The positions of the last of several events of one user on one day.

    One sort of day, user and position in one integer is several times faster than sorts that
    have to be stable or to return an order.

    Args:
        user: of each event, a number below `_MOST_EVENTS`; not bounded by how many events there
            are, since some may have been refused.
        days: of each event.
    """
    position_bits = len(user).bit_length()
    user_bits = int(user.max(initial=0)).bit_length()
    key = days.astype(np.int64) << user_bits | user
    key = key << position_bits | np.arange(len(user))
    key.sort()
    pair = key >> position_bits
    is_last = np.ones(len(key), dtype=np.bool_)
    np.not_equal(pair[1:], pair[:-1], out=is_last[:-1])
    last: NDArray[np.int64] = key[is_last] & ((1 << position_bits) - 1)
    return last
