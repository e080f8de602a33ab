"""Erasure: taking people out of everything that is kept.

Past releases stand, since they are private about the person; later ones exclude them. Everyone
named gets the same treatment and the same answer whether they were known or not.
"""

import secrets
import threading
from collections.abc import Sequence
from datetime import date, datetime

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.errors import ErasureNotFoundError, InvalidValueError, StoreBusyError
from dpdau.hashing import Pseudonymizer
from dpdau.model.calendar import Calendar
from dpdau.model.erasures import Erasure
from dpdau.model.events import MAX_USER_ID_BYTES
from dpdau.pipeline.ports import Store, Tombstones, Transaction

__all__ = ["Eraser", "erase_pseudonyms", "record_erasure"]


class Eraser:
    """Erases people on request and makes sure that no erasure stays half done."""

    def __init__(self, store: Store, pseudonymizer: Pseudonymizer, calendar: Calendar) -> None:
        self._store = store
        self._pseudonymizer = pseudonymizer
        self._calendar = calendar
        self._purging = threading.Lock()

    def erase(self, user_ids: Sequence[str]) -> Erasure:
        """Erase these people, in one durable transaction.

        Returns:
            The record; its `completed_at` is None until `finish` has purged what they left in
            the pages of the store's files.

        Raises:
            InvalidValueError: if an id is empty or too long, or none is given.
        """
        _check(user_ids)
        pseudonyms = np.unique(self._pseudonymizer.pseudonyms(user_ids))
        with self._store.write() as transaction:
            today = self._calendar.today()
            erased_on = np.full(len(pseudonyms), today.toordinal(), dtype=np.int32)
            touched = erase_pseudonyms(transaction, pseudonyms, erased_on, today)
            return record_erasure(transaction, self._calendar.now(), len(pseudonyms), touched)

    def finish(self) -> int:
        """Purge the pages of erasures that were not completed, and mark them so.

        One purge completes every erasure that waits when it begins, so callers that come
        together share it.

        Returns:
            How many still wait, because a reader held the pages; 0 when all are complete.
        """
        with self._purging:
            with self._store.read() as reader:
                waiting = reader.unfinished_erasures()
            if not waiting:
                return 0
            try:
                self._store.purge()
            except StoreBusyError:
                return len(waiting)
            completed_at = self._calendar.now()
            with self._store.write() as transaction:
                for erasure in waiting:
                    done = msgspec.structs.replace(erasure, completed_at=completed_at)
                    transaction.put_erasure(done)
        return 0

    def find(self, erasure_id: str) -> Erasure:
        """The record of an erasure.

        Raises:
            ErasureNotFoundError: if there is none with that id.
        """
        with self._store.read() as reader:
            erasure = reader.erasure(erasure_id)
        if erasure is None:
            raise ErasureNotFoundError(erasure_id)
        return erasure


def erase_pseudonyms(
    transaction: Transaction,
    pseudonyms: NDArray[np.uint64],
    erased_on: NDArray[np.int32],
    recorded_on: date,
) -> int:
    """Take people out of every day, forget their mapping, and leave tombstones.

    The tombstone keeps the user index, so that someone who returns within a running period
    meets the same flippancy limit and cannot buy a second budget by leaving.

    Args:
        transaction: the open transaction.
        pseudonyms: n distinct pseudonyms, known or not, ascending.
        erased_on: n ordinals of the erasures' days; earlier events are refused from now on.
        recorded_on: today.

    Returns:
        How many (day, person) memberships were removed.
    """
    indices = transaction.user_indices(pseudonyms)
    removed = transaction.erase_members(BitMap(indices[indices >= 0]))
    transaction.forget_users(pseudonyms)
    recorded = np.full(len(pseudonyms), recorded_on.toordinal(), dtype=np.int32)
    tombstones = Tombstones(pseudonyms, erased_on.copy(), recorded, indices)
    _keep_protecting(tombstones, transaction.tombstones(pseudonyms))
    transaction.put_tombstones(tombstones)
    return removed


def record_erasure(
    transaction: Transaction, now: datetime, users: int, days_touched: int
) -> Erasure:
    """Write the record of an erasure whose pages still have to be purged."""
    erasure = Erasure(
        erasure_id=secrets.token_urlsafe(16),
        requested_at=now,
        completed_at=None,
        users=users,
        days_touched=days_touched,
    )
    transaction.put_erasure(erasure)
    return erasure


def _keep_protecting(tombstones: Tombstones, earlier: Tombstones) -> None:
    """Let new tombstones keep what earlier ones of the same people still protect."""
    at = np.searchsorted(tombstones.pseudonyms, earlier.pseudonyms)
    tombstones.erased_on[at] = np.maximum(tombstones.erased_on[at], earlier.erased_on)
    known = tombstones.user_indices[at] >= 0
    tombstones.user_indices[at] = np.where(known, tombstones.user_indices[at], earlier.user_indices)


def _check(user_ids: Sequence[str]) -> None:
    if not user_ids:
        raise InvalidValueError("user_ids", [], "at least one user id")
    for position, user_id in enumerate(user_ids):
        try:
            size = len(user_id.encode())
        except UnicodeEncodeError:
            size = 0
        if not 1 <= size <= MAX_USER_ID_BYTES:
            # The id itself must reach neither an answer nor a log.
            raise InvalidValueError(
                f"user_ids[{position}]",
                f"{size} bytes of UTF-8",
                f"1 to {MAX_USER_ID_BYTES} bytes",
            )
