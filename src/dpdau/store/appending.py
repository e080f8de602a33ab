"""What every store demands of a row that is appended to its ledger."""

from typing import Protocol

from dpdau.model.ledger import LedgerKind, LedgerRow

__all__ = ["require_next"]


class _Ledger(Protocol):
    """What is looked at of a transaction's view."""

    def ledger_head(self) -> LedgerRow | None: ...

    def ledger_row(self, kind: LedgerKind, subject: str) -> LedgerRow | None: ...


def require_next(reader: _Ledger, row: LedgerRow) -> None:
    """Pass if a row continues the ledger that a transaction sees.

    Raises:
        ValueError: if the sequence has a gap, or a row of that kind and subject exists.
    """
    head = reader.ledger_head()
    expected = 1 if head is None else head.sequence + 1
    if row.sequence != expected:
        message = f"Expected ledger row {expected}, got {row.sequence}"
        raise ValueError(message)
    if reader.ledger_row(row.kind, row.subject) is not None:
        message = f"The ledger already records the {row.kind} {row.subject}"
        raise ValueError(message)
