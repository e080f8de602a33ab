"""Rows of the ledger and the chain of hashes that binds them.

A row's hash is SHA-256 over the previous row's hash and the row's own content as canonical JSON
(sorted keys, no spaces), so that changing, removing or reordering any row breaks every later
hash.
"""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from dpdau.errors import LedgerDamagedError
from dpdau.model.releases import Metric

__all__ = ["GENESIS_HASH", "LedgerKind", "LedgerRow", "chained", "verify_chain"]

GENESIS_HASH = "0" * 64


class LedgerKind(StrEnum):
    """What a row records."""

    RELEASE = "release"
    SERIES = "series"
    CAP = "cap"
    ACKNOWLEDGEMENT = "acknowledgement"
    RECHARGE = "recharge"


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the append-only ledger.

    Attributes:
        sequence: 1, 2, 3, … without gaps.
        kind: what the row records.
        metric: whose budget it concerns.
        period: the accounting period it concerns.
        subject: the release id, the series id, or another name; unique for its kind.
        recorded_at: when, in UTC.
        charge: what it cost, in the accountant's form; None if it cost nothing.
        body: all else, JSON-able; docs/ledger.md has every kind's fields.
        previous_hash: the hash of the row before, or 64 zeros.
        hash: this row's own.
    """

    sequence: int
    kind: LedgerKind
    metric: Metric
    period: str
    subject: str
    recorded_at: datetime
    charge: dict[str, Any] | None
    body: dict[str, Any]
    previous_hash: str
    hash: str = ""

    def canonical_content(self) -> bytes:
        """All but the two hashes, as the JSON that is hashed: sorted keys, no spaces, UTF-8."""
        content = msgspec.structs.asdict(self)
        del content["hash"], content["previous_hash"]
        return msgspec.json.encode(content, order="sorted")

    def computed_hash(self) -> str:
        """The hash that the row's content and predecessor give."""
        return hashlib.sha256(self.previous_hash.encode() + self.canonical_content()).hexdigest()


def chained(row: LedgerRow) -> LedgerRow:
    """The row with its hash filled in."""
    return msgspec.structs.replace(row, hash=row.computed_hash())


def verify_chain(rows: list[LedgerRow], after: tuple[int, str] = (0, GENESIS_HASH)) -> None:
    """Check the sequence, the links and the hashes of a ledger, oldest row first.

    Args:
        rows: a whole ledger, or all rows behind one.
        after: sequence and hash of the row before; by default none.

    Raises:
        LedgerDamagedError: naming the first row that does not fit and why.
    """
    sequence, previous_hash = after
    for expected, row in enumerate(rows, start=sequence + 1):
        if row.sequence != expected:
            raise LedgerDamagedError(expected, f"row {expected} is missing")
        if row.previous_hash != previous_hash:
            raise LedgerDamagedError(expected, "it does not continue the row before it")
        if row.hash != row.computed_hash():
            raise LedgerDamagedError(expected, "its content does not match its hash")
        previous_hash = row.hash
