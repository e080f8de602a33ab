"""Writing to the ledger: the one place where rows are made."""

from datetime import datetime
from typing import Any

import msgspec

from dpdau.model.ledger import GENESIS_HASH, LedgerKind, LedgerRow, chained
from dpdau.model.releases import Metric, Release, ReleaseKey
from dpdau.pipeline.ports import Reader, Transaction

__all__ = ["append_release", "append_row", "latest_release", "release_of"]


def append_row(
    transaction: Transaction,
    *,
    kind: LedgerKind,
    metric: Metric,
    period: str,
    subject: str,
    recorded_at: datetime,
    charge: dict[str, Any] | None,
    body: dict[str, Any],
) -> LedgerRow:
    """Append a row behind the newest one, bound to it by its hash.

    Call it in a transaction of `pipeline.guard`, which has looked whether rows may be appended.
    """
    head = transaction.ledger_head()
    row = chained(
        LedgerRow(
            sequence=1 if head is None else head.sequence + 1,
            kind=kind,
            metric=metric,
            period=period,
            subject=subject,
            recorded_at=recorded_at,
            charge=charge,
            body=body,
            previous_hash=GENESIS_HASH if head is None else head.hash,
        )
    )
    transaction.append_ledger(row)
    return row


def append_release(transaction: Transaction, release: Release) -> None:
    """Record a release; once the transaction is durable the value may leave."""
    append_row(
        transaction,
        kind=LedgerKind.RELEASE,
        metric=release.metric,
        period=release.period,
        subject=release.release_id,
        recorded_at=release.released_at,
        charge=release.charge,
        body=msgspec.to_builtins(release),
    )


def release_of(row: LedgerRow) -> Release:
    """The release that a row records."""
    return msgspec.convert(row.body, Release)


def latest_release(reader: Reader, key: ReleaseKey) -> Release | None:
    """The newest revision of the answer to a question, from the key's revision on."""
    found: Release | None = None
    while (row := reader.ledger_row(LedgerKind.RELEASE, key.release_id)) is not None:
        found = release_of(row)
        key = ReleaseKey(key.metric, key.window_days, key.day, key.revision + 1)
    return found
