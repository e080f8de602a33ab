"""Retention: what is too old is dropped, and people of whom nothing is left are forgotten."""

from contextlib import suppress
from datetime import date

import numpy as np
from pyroaring import BitMap

from dpdau.errors import StoreBusyError
from dpdau.model.bitmaps import indices_of
from dpdau.model.calendar import Period
from dpdau.model.sources import ActivitySource
from dpdau.pipeline.leaps import LEAP
from dpdau.pipeline.ports import OUTDATED, Reader, Store, Tombstones, Transaction
from dpdau.pipeline.source import source_of
from dpdau.privacy.flippancy import LimiterState

__all__ = ["Retention"]

_FIRST_DAY = 1
_LAST_DAY = date.max.toordinal()
# How many user indices one transaction looks at, so that writers wait a moment only.
_USERS_AT_ONCE = 1 << 20


class Retention:
    """Drops activity, tombstones, private totals and mappings that are kept no longer.

    Formal guarantees:
        Forgetting a user gives whoever returns another index, with all the rises that the
        flippancy limiter allows. This must not buy a second budget in a running series, so it
        happens only to users that are active on no day that is left, and whose index is not in
        the limiter's state of any series that runs. Such an index was counted in no row that a
        running series has measured, or it would have risen; and it is counted in no row to come,
        since it is present on none of its days. So a person's rows in every running series
        belong to one index, as the limiter's guarantee demands. The same holds for the index
        that a tombstone keeps. Series without a limiter need no such care: each row counts at
        most one index of a person, and their sensitivity holds for every pattern of presence.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def is_hasty(self, first_kept: date) -> bool:
        """Whether far more than is due each day would be dropped, as after a leap of the clock.

        Args:
            first_kept: the first day that would be kept.
        """
        long_due = first_kept - LEAP
        with self._store.read() as reader:
            ended = (Period.named(key.period).last for key in reader.series_keys())
            return (
                any(last < long_due for last in ended)
                or bool((reader.tombstones().recorded_on < long_due.toordinal()).any())
                or bool(reader.members(_FIRST_DAY, long_due.toordinal() - 1))
            )

    def drop(self, first_kept: date) -> None:
        """Drop what is past the retention, from the pages of files too.

        Args:
            first_kept: the first day that is kept.
        """
        with self._store.write() as transaction:
            transaction.drop_before(first_kept.toordinal())
            for key in transaction.series_keys():
                if Period.named(key.period).last < first_kept:
                    transaction.drop_series_state(key)
        self._unlink_tombstones()
        self._forget_users()
        # A reader may hold the log back; the next time empties it then.
        with suppress(StoreBusyError):
            self._store.purge()

    def _forget_users(self) -> None:
        # Every bitmap is read in a view that holds nobody up, what is found is read again in
        # transactions, where it may have become active.
        with self._store.read() as reader:
            idle = _idle(reader, reader.known_users())
        while idle:
            first = idle.min()
            users = idle & BitMap(range(first, first + _USERS_AT_ONCE))
            with self._store.write() as transaction:
                _forget(transaction, _idle(transaction, users))
            idle -= users

    def _unlink_tombstones(self) -> None:
        """Let tombstones give no index back that no running series needs."""
        with self._store.read() as reader:
            unneeded = _unneeded(reader, reader.tombstones())
        if len(unneeded):
            with self._store.write() as transaction:
                unneeded = _unneeded(transaction, transaction.tombstones(unneeded.pseudonyms))
                unneeded.user_indices.fill(-1)
                transaction.put_tombstones(unneeded)


def _idle(reader: Reader, users: BitMap) -> BitMap:
    """Those users of whom nothing is left but their mapping."""
    return users - _limited(reader) - reader.members(_FIRST_DAY, _LAST_DAY, among=users)


def _forget(transaction: Transaction, users: BitMap) -> None:
    pseudonyms = transaction.pseudonyms_of(indices_of(users).astype(np.int64))
    # Zero for those who were erased in the meantime.
    transaction.forget_users(pseudonyms[pseudonyms > 0])
    transaction.update_members(OUTDATED, BitMap(), users)


def _unneeded(reader: Reader, tombstones: Tombstones) -> Tombstones:
    """The tombstones with an index that no running series has counted.

    None of them as long as an erasure is not done: in copies that know people by a former secret,
    they are found by their index alone.
    """
    is_done = not reader.unfinished_erasures()
    linked = tombstones.select((tombstones.user_indices >= 0) & is_done)
    limited = _limited(reader)
    return linked.select(
        np.array([index not in limited for index in linked.user_indices.tolist()], dtype=np.bool_)
    )


def _limited(reader: Reader) -> BitMap:
    """The indices that a running series with a limit has counted; Spark counts no indices."""
    if source_of(reader) is not ActivitySource.STORE:
        return BitMap()
    states = [reader.series_state(key) for key in reader.series_keys()]
    limiters = [LimiterState.from_bytes(each.limiter) for each in states if each and each.limiter]
    return BitMap.union(BitMap(), *(limiter.levels[0] for limiter in limiters))
