"""The guard of the ledger: nothing is appended to a ledger that is damaged or was rolled back.

Formal guarantees:
    Let a value leave this process at some time. Its row was committed before, and the second
    copy of the head was moved to that row or beyond before. So whoever puts back a store without
    that row, while the copy stands, is found out before anything else is appended: no row of a
    series is measured a second time under one plan, and nothing that was paid is paid again from
    the same budget. A crash between commit and copy loses nothing: that value has not left.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

import msgspec

from dpdau.errors import (
    HeadNotKeptError,
    LedgerDamagedError,
    LedgerRolledBackError,
    StoreError,
)
from dpdau.model.ledger import LedgerKind, LedgerRow, verify_chain
from dpdau.pipeline.head import NOTHING, Head, following, remembered_in
from dpdau.pipeline.ports import HeadCopy, Reader, Store, Transaction

__all__ = ["LedgerGuard", "contradiction"]

_Place: TypeAlias = tuple[int, str]


class LedgerGuard:
    """Opens the transactions that append, and keeps the second copy of the head."""

    def __init__(self, store: Store, copy: HeadCopy) -> None:
        self._store = store
        self._copy = copy
        self._is_whole = False
        self._covered = 0

    def start(self) -> None:
        """Make the copy, or move it to what was committed before a crash.

        A copy that cannot be reached, or that remembers more, stops nothing but appending.
        """
        with suppress(StoreError, LedgerDamagedError):
            self.keep()
            name = self._copy.kept_as
            if name is None:
                return
            with self._store.read() as reader:
                known = reader.meta(name)
            if known is None:
                with self._store.write() as transaction:
                    transaction.put_meta(name, "yes")

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """The exclusive transaction; once the context ends, what it appended is in both places.

        Raises:
            LedgerDamagedError: if the ledger does not fit its hashes or its copy.
            HeadNotKeptError: if the copy cannot be moved; the rows stand, but no value may leave.
        """
        with self._store.write() as transaction:
            self._require(transaction, self.remembered())
            yield transaction
        self.keep()

    def check(self) -> None:
        """Pass if rows may be appended.

        The hashes of all rows are computed once in a process, those of the newest row and the
        copy are compared each time.

        Raises:
            LedgerDamagedError: naming the first row that does not fit.
            LedgerRolledBackError: if the copy remembers a row that the ledger does not have.
        """
        # First, since it names rows only that are committed: another process may publish now.
        remembered = self.remembered()
        with self._store.read() as reader:
            self._require(reader, remembered)

    def stopped_by(self) -> LedgerDamagedError | None:
        """Why no rows may be appended; None if they may."""
        try:
            self.check()
        except LedgerDamagedError as error:
            return error
        return None

    def _require(self, reader: Reader, remembered: Head | None) -> None:
        if not self._is_whole:
            verify_chain(reader.ledger())
            self._is_whole = True
        newest = reader.ledger_head()
        if newest is not None:
            verify_chain([newest], after=(newest.sequence - 1, newest.previous_hash))
        fault = _contradiction(reader, remembered, kept_as=self._copy.kept_as)
        if fault is not None:
            raise fault

    def cover(self) -> None:
        """Move the copy to the newest row, if it may not be there; before a value leaves.

        If the ledger is damaged or was rolled back, what it has is read all the same.

        Raises:
            HeadNotKeptError: if the copy cannot be moved.
        """
        with self._store.read() as reader:
            newest = reader.ledger_head()
        if newest is not None and newest.sequence > self._covered:
            with suppress(LedgerDamagedError):
                self.keep()

    def fault(self, reader: Reader) -> LedgerRolledBackError | None:
        """How the ledger and its copy contradict each other; None if they do not."""
        return contradiction(reader, self._copy)

    def remembered(self) -> Head | None:
        """What the copy remembers; None if it is missing or cannot be understood."""
        return remembered_in(self._copy.read())

    def keep(self, *, anew: bool = False) -> None:
        """Move the copy to the newest row.

        Args:
            anew: forget what it remembers, after an acknowledgement.

        Raises:
            LedgerDamagedError: if the newer rows do not continue what it remembers.
            LedgerRolledBackError: if it remembers a row that the ledger does not have.
            HeadNotKeptError: if it cannot be written; what the ledger has stands.
        """
        reached = 0

        def moved(content: bytes | None) -> bytes | None:
            nonlocal reached
            with self._store.read() as reader:
                remembered = None if anew else remembered_in(content)
                fault = (
                    None if anew else _contradiction(reader, remembered, kept_as=self._copy.kept_as)
                )
                if fault is not None:
                    raise fault
                if remembered is None or not _has(reader, remembered):
                    remembered = NOTHING
                head = _extended(remembered, reader.ledger(after=remembered.sequence))
            reached = head.sequence
            encoded = msgspec.json.encode(head, order="deterministic")
            return None if encoded == content else encoded

        try:
            self._copy.replace(moved)
        except StoreError as error:
            raise HeadNotKeptError(error.title) from error
        # Only now: what could not be written covers no value.
        self._covered = reached


def contradiction(reader: Reader, copy: HeadCopy) -> LedgerRolledBackError | None:
    """How a ledger and the copy of its head contradict each other; None if they do not."""
    return _contradiction(reader, remembered_in(copy.read()), kept_as=copy.kept_as)


def _contradiction(
    reader: Reader, remembered: Head | None, *, kept_as: str | None
) -> LedgerRolledBackError | None:
    newest = reader.ledger_head()
    found = None if newest is None else (newest.sequence, newest.hash)
    if remembered is None:
        was_kept = kept_as is not None and reader.meta(kept_as) is not None
        return LedgerRolledBackError(found, None) if was_kept and found else None
    if _has(reader, remembered) or _is_acknowledged(reader, remembered):
        return None
    return LedgerRolledBackError(found, (remembered.sequence, remembered.hash))


def _extended(head: Head, rows: list[LedgerRow]) -> Head:
    """The head after these rows, if they continue it."""
    verify_chain(rows, after=(head.sequence, head.hash))
    try:
        return following(head, rows)
    except (KeyError, TypeError, msgspec.MsgspecError) as error:
        raise LedgerDamagedError(rows[-1].sequence, "it or one before it is no row") from error


def _has(reader: Reader, head: Head) -> bool:
    """Whether the ledger has the row that a head names."""
    if head.sequence == 0:
        return True
    rows = reader.ledger(after=head.sequence - 1)
    return bool(rows) and _place(rows[0]) == (head.sequence, head.hash)


def _is_acknowledged(reader: Reader, head: Head) -> bool:
    """Whether a row charges what the ledger lost of this head."""
    wanted = {"sequence": head.sequence, "hash": head.hash}
    rows = reader.ledger(kind=LedgerKind.ACKNOWLEDGEMENT)
    return any(row.body.get("remembered") == wanted for row in rows)


def _place(row: LedgerRow) -> _Place:
    return row.sequence, row.hash
