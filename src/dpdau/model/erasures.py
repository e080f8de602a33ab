"""Records of erased people, without their identities."""

from datetime import datetime

import msgspec

__all__ = ["Erasure"]


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """One request to erase, completed.

    Attributes:
        erasure_id: an unguessable name.
        requested_at: when it was received, in UTC.
        completed_at: when the last trace was gone, in UTC; None while pages are being purged.
        users: how many people the request named, known or not.
        days_touched: how many (day, person) memberships were taken out; for operators only.
    """

    erasure_id: str
    requested_at: datetime
    completed_at: datetime | None
    users: int
    days_touched: int
