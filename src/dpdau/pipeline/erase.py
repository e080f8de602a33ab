"""Erasure: taking people out of everything that is kept.

Past releases stand, since they are private about the person; later ones exclude them. Everyone
named gets the same treatment and the same answer whether they were known or not.

An erasure is durable in the store first, then its traces are purged from the store's files, then
the journal remembers its tombstones, then backups are reached, and only then it is called done. After a crash in between
it is still unfinished, and `Eraser.finish` takes it up again.
"""

import secrets
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from itertools import compress

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.errors import (
    BatchTooLargeError,
    ErasureNotFoundError,
    InputError,
    InvalidValueError,
    RequestKeyReusedError,
    StoreBusyError,
    StoreError,
)
from dpdau.hashing import Pseudonymizer, Sampler
from dpdau.model.calendar import Calendar
from dpdau.model.erasures import MAX_USERS, Erasure
from dpdau.model.events import MAX_USER_ID_BYTES
from dpdau.model.ledger import GENESIS_HASH
from dpdau.pipeline.journal import JournalKeeper
from dpdau.pipeline.ports import Backups, ErasureJournal, Store, Tombstones, Transaction
from dpdau.pipeline.rekeying import admit
from dpdau.pipeline.restoring import reapply
from dpdau.pipeline.rotation import KEY_CHECK

__all__ = ["Eraser", "Requested", "erase_pseudonyms", "record_erasure"]

_MAX_REQUEST_KEY_CHARACTERS = 255


@dataclass(frozen=True, slots=True)
class Requested:
    """What became of a request.

    Attributes:
        erasure: its record.
        is_repeated: whether it had been carried out before, under the same key.
    """

    erasure: Erasure
    is_repeated: bool


class Eraser:
    """Erases people on request and makes sure that no erasure stays half done."""

    def __init__(
        self,
        store: Store,
        pseudonymizer: Pseudonymizer,
        calendar: Calendar,
        journal: ErasureJournal,
        backups: Backups,
        *,
        sampler: Sampler | None = None,
    ) -> None:
        self._store = store
        self._pseudonymizer = pseudonymizer
        self._calendar = calendar
        self._journal = JournalKeeper(store, journal)
        self._backups = backups
        self._sampler = sampler
        self._purging = threading.Lock()

    def start(self) -> None:
        """Make the journal if there is none; one that cannot be reached stops nothing yet."""
        with suppress(StoreError):
            self._journal.start()

    def erase(self, user_ids: Sequence[str], request_key: str | None = None) -> Requested:
        """Erase these people, in one durable transaction.

        Args:
            user_ids: who; repetitions do not matter.
            request_key: a name that the sender gave this request, 1 to 255 printable ASCII
                characters. Asked again under it for the same people, this returns the former
                record and erases nobody, also if they came back in the meantime.

        Returns:
            The record; its `completed_at` is None until `finish` has purged what they left in
            the pages of the store's files.

        Raises:
            InvalidValueError: if an id is empty or too long, or none is given; its details have
                the id of a record that says so. Also if the request key is none.
            BatchTooLargeError: if more than `MAX_USERS` are named; likewise with a record.
            RequestKeyReusedError: if the request key named other people before.
            WrongSecretError: if another process has replaced the secret; nobody was erased.
        """
        if request_key is not None:
            _check_request_key(request_key)
        try:
            _check(user_ids)
        except InputError as error:
            self._refuse(len(set(user_ids)), error)
            raise
        people = len(set(user_ids))
        # Of everyone named: whether a key came again must not tell who is in a sample.
        requests = (
            [] if request_key is None else self._pseudonymizer.requests(request_key, user_ids)
        )
        if self._sampler is not None:
            # Of the others nothing is known, and nothing may become known.
            user_ids = list(compress(user_ids, self._sampler.sampled(user_ids)))
        named = self._pseudonymizer.pseudonyms(user_ids)
        previous = self._pseudonymizer.previous_pseudonyms(user_ids)
        pseudonyms = np.unique(named)
        with self._store.write() as transaction:
            admit(transaction, self._pseudonymizer, named, previous)
            for key, digest in requests:
                former = transaction.erasure_of(key)
                if former is None:
                    continue
                if former.request_digest != digest:
                    raise RequestKeyReusedError
                return Requested(former, is_repeated=True)
            today = self._calendar.today()
            erased_on = np.full(len(pseudonyms), today.toordinal(), dtype=np.int32)
            tombstones, touched = erase_pseudonyms(transaction, pseudonyms, erased_on, today)
            erasure = record_erasure(
                transaction,
                self._calendar.now(),
                people,
                touched,
                request=requests[0] if requests else None,
            )
        self._journal.committed(erasure.erasure_id, tombstones)
        return Requested(erasure, is_repeated=False)

    def again(self, since: date) -> Erasure:
        """Erase again whom the journal knows, after an older copy of the store was put back.

        Tombstones tell days and no times: whoever was erased and returned on the first of these
        days is taken out again too.

        Args:
            since: only those whose erasure was carried out on this day or later.

        Returns:
            The record of this erasure, which `finish` completes.
        """
        known = self._journal.since(since)
        with self._store.write() as transaction:
            touched = reapply(transaction, known, transaction.meta(KEY_CHECK))
            erasure = record_erasure(transaction, self._calendar.now(), len(known), touched)
        self._journal.committed(erasure.erasure_id, known)
        return erasure

    def finish(self) -> int:
        """Purge files and backups of erasures that were not completed, and mark them so.

        One purge completes every erasure that waits when it begins, so callers that come
        together share it.

        Returns:
            How many still wait, because a reader held the pages; 0 when all are complete.

        Raises:
            StoreError: if the store, the journal or a backup failed; the erasures wait for
                another try.
        """
        with self._purging:
            tombstones = self._journal.take()
            with self._store.read() as reader:
                waiting = reader.unfinished_erasures()
                key_check = reader.meta(KEY_CHECK)
            if not waiting:
                return 0
            try:
                self._store.purge()
            except StoreBusyError:
                return len(waiting)
            names = [erasure.erasure_id for erasure in waiting]
            self._journal.sync(names, tombstones)
            self._backups.erase(self._left_by(waiting, tombstones), key_check)
            with self._store.write() as transaction:
                _complete(transaction, names, self._calendar.now())
        return 0

    def _left_by(self, waiting: Sequence[Erasure], known: Mapping[str, Tombstones]) -> Tombstones:
        """The tombstones of erasures, and perhaps others of their days."""
        if known.keys() >= {erasure.erasure_id for erasure in waiting}:
            return Tombstones.merged([known[erasure.erasure_id] for erasure in waiting])
        # A day in another zone may have begun a day before that of the request in UTC.
        first = waiting[0].requested_at.date().toordinal() - 1
        with self._store.read() as reader:
            kept = reader.tombstones()
        return kept.select(kept.recorded_on >= first)

    def forget_before(self, day: date) -> None:
        """Forget in the journal the tombstones recorded before a day, as the store does."""
        self._journal.drop_before(day)

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

    def _refuse(self, users: int, error: InputError) -> None:
        """Leave a record of a refused request, so that whoever asks for it learns why."""
        refused = Erasure(
            erasure_id=_new_id(),
            requested_at=self._calendar.now(),
            users=users,
            refusal=error.message,
        )
        # The request is bad also where that cannot be written down.
        with suppress(StoreError):
            with self._store.write() as transaction:
                transaction.put_erasure(refused)
            error.details["erasure_id"] = refused.erasure_id


def erase_pseudonyms(
    transaction: Transaction,
    pseudonyms: NDArray[np.uint64],
    erased_on: NDArray[np.int32],
    recorded_on: date,
) -> tuple[Tombstones, int]:
    """Take people out of every day, forget their mapping, and leave tombstones.

    The tombstone keeps the user index, so that someone who returns within a running period
    meets the same flippancy limit and cannot buy a second budget by leaving.

    Args:
        transaction: the open transaction.
        pseudonyms: n distinct pseudonyms, known or not, ascending.
        erased_on: n ordinals of the erasures' days; earlier events are refused from now on.
        recorded_on: today.

    Returns:
        Their tombstones, and how many (day, person) memberships were removed.
    """
    indices = transaction.user_indices(pseudonyms)
    removed = transaction.erase_members(BitMap(indices[indices >= 0]))
    transaction.forget_users(pseudonyms)
    recorded = np.full(len(pseudonyms), recorded_on.toordinal(), dtype=np.int32)
    tombstones = Tombstones(pseudonyms, erased_on.copy(), recorded, indices)
    _keep_protecting(tombstones, transaction.tombstones(pseudonyms))
    transaction.put_tombstones(tombstones)
    return tombstones, removed


def record_erasure(
    transaction: Transaction,
    now: datetime,
    users: int,
    days_touched: int,
    request: tuple[str, str] | None = None,
) -> Erasure:
    """Write the record of an erasure whose pages still have to be purged.

    Args:
        transaction: the one that erases.
        now: when it was requested.
        users: how many people it names.
        days_touched: how many memberships it removed.
        request: the hashes of its request key and of who it names, if it has a key.
    """
    request_key, request_digest = request or (None, None)
    erasure = Erasure(
        erasure_id=_new_id(),
        requested_at=now,
        users=users,
        days_touched=days_touched,
        request_key=request_key,
        request_digest=request_digest,
    )
    transaction.put_erasure(erasure)
    return erasure


def _complete(transaction: Transaction, erasure_ids: Sequence[str], now: datetime) -> None:
    """Mark erasures done, and where the ledger is by then; not those that another process did."""
    newest = transaction.ledger_head()
    for erasure_id in erasure_ids:
        erasure = transaction.erasure(erasure_id)
        if erasure is not None and not erasure.is_finished:
            transaction.put_erasure(
                msgspec.structs.replace(
                    erasure,
                    completed_at=now,
                    ledger_sequence=0 if newest is None else newest.sequence,
                    ledger_hash=GENESIS_HASH if newest is None else newest.hash,
                )
            )


def _new_id() -> str:
    """A name that nobody guesses, and that no command line takes for an option."""
    return secrets.token_hex(16)


def _keep_protecting(tombstones: Tombstones, earlier: Tombstones) -> None:
    """Let new tombstones keep what earlier ones of the same people still protect."""
    at = np.searchsorted(tombstones.pseudonyms, earlier.pseudonyms)
    tombstones.erased_on[at] = np.maximum(tombstones.erased_on[at], earlier.erased_on)
    known = tombstones.user_indices[at] >= 0
    tombstones.user_indices[at] = np.where(known, tombstones.user_indices[at], earlier.user_indices)


def _check_request_key(request_key: str) -> None:
    fits = len(request_key) in range(1, _MAX_REQUEST_KEY_CHARACTERS + 1)
    if not (fits and request_key.isascii() and request_key.isprintable()):
        expected = f"1 to {_MAX_REQUEST_KEY_CHARACTERS} printable ASCII characters"
        raise InvalidValueError("Idempotency-Key", "not shown", expected)


def _check(user_ids: Sequence[str]) -> None:
    if not user_ids:
        raise InvalidValueError("user_ids", [], "at least one user id")
    if len(user_ids) > MAX_USERS:
        raise BatchTooLargeError("user ids", len(user_ids), MAX_USERS, "for one erasure")
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
