"""Records of erased people, without their identities."""

from datetime import datetime

import msgspec

__all__ = ["MAX_USERS", "Erasure"]

MAX_USERS = 100_000
"""How many people one request to erase may name."""


class Erasure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request to erase.

    Attributes:
        erasure_id: an unguessable name.
        requested_at: when it was received, in UTC.
        completed_at: when the last trace was gone, in UTC; None until then.
        users: how many people the request named, known or not.
        days_touched: how many (day, person) memberships were taken out; for operators only.
        refusal: why nobody was erased; None if the request was good.
        request_key: a keyed hash of the name that the sender gave the request, so that sending
            it again is recognised; None if it had none, or once that is forgotten.
        request_digest: a keyed hash of who was named, so that the same name cannot be given to
            another request; kept as long as the tombstones of those named.
        ledger_sequence: the newest ledger row when it was completed; None until then, 0 for an
            empty ledger.
        ledger_hash: that row's hash, or 64 zeros for an empty ledger.
    """

    erasure_id: str
    requested_at: datetime
    completed_at: datetime | None = None
    users: int = 0
    days_touched: int = 0
    refusal: str | None = None
    request_key: str | None = None
    request_digest: str | None = None
    ledger_sequence: int | None = None
    ledger_hash: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing remains to be done."""
        return self.completed_at is not None or self.refusal is not None
