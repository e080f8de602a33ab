"""Erasures: how far they are, and receipts for those that are complete."""

from datetime import date, datetime
from typing import Literal

from pydantic import Field

from dpdau.model.erasures import Erasure
from dpdau.model.sources import ActivitySource
from dpdau.views.base import View

__all__ = ["ErasureView", "ReceiptView"]


class ErasureView(View):
    """The state of an erasure; the same whether the people were known or not."""

    erasure_id: str
    state: Literal["received", "done", "refused"] = Field(
        description="received once nobody is counted any more; done once no page on disk holds a "
        "trace; refused if nobody was erased."
    )
    requested_at: datetime
    completed_at: datetime | None
    users: int = Field(description="How many distinct people the request named.")
    refusal: str | None = Field(description="Why nobody was erased; null if the request was good.")

    @classmethod
    def of(cls, erasure: Erasure) -> "ErasureView":
        """The view of a record."""
        unfinished = "received" if erasure.refusal is None else "refused"
        return cls(
            erasure_id=erasure.erasure_id,
            state=unfinished if erasure.completed_at is None else "done",
            requested_at=erasure.requested_at,
            completed_at=erasure.completed_at,
            users=erasure.users,
            refusal=erasure.refusal,
        )


class LedgerPosition(View):
    """A row of the ledger."""

    sequence: int = Field(description="Its number; 0 if the ledger was empty.")
    hash: str = Field(description="Its hash, which covers every row before it.")


class Removed(View):
    """Something that the people are no longer in."""

    place: str
    how: str


class Kept(View):
    """Something that remains."""

    place: str
    what: str
    until: date | None = Field(description="The last day on which it is kept; null if none is set.")


class ReceiptView(View):
    """What an erasure did, to be filed; names nobody."""

    receipt_version: Literal[1] = 1
    program: str = Field(description="The program and version that issued it.")
    issued_at: datetime
    erasure: ErasureView
    days_touched: int = Field(description="How many (day, person) memberships were taken out.")
    ledger: LedgerPosition = Field(
        description="The newest row when it was completed: values in later rows exclude them."
    )
    removed: list[Removed] = Field(description="Where nothing of them is left.")
    kept: list[Kept] = Field(description="What remains, why, and for how long.")
    not_reached: list[str] = Field(description="Where copies may be that dpdau knows nothing of.")

    @classmethod
    def of(
        cls,
        erasure: Erasure,
        *,
        program: str,
        issued_at: datetime,
        kept_until: date,
        source: ActivitySource = ActivitySource.STORE,
    ) -> "ReceiptView":
        """The receipt of a complete erasure.

        Args:
            erasure: its record.
            program: name and version.
            issued_at: the current time.
            kept_until: the last day of its tombstones.
            source: where the activity is that is counted.
        """
        by_spark = source is ActivitySource.SPARK
        return cls(
            program=program,
            issued_at=issued_at,
            erasure=ErasureView.of(erasure),
            days_touched=erasure.days_touched,
            ledger=LedgerPosition(
                sequence=erasure.ledger_sequence or 0, hash=erasure.ledger_hash or ""
            ),
            removed=_REMOVED,
            kept=[*_kept(kept_until), *(_KEPT_FOR_SPARK if by_spark else [])],
            not_reached=[*_NOT_REACHED, *(_NOT_REACHED_IN_SPARK if by_spark else [])],
        )


_REMOVED = [
    Removed(place="membership", how="taken out of the set of every day"),
    Removed(place="pseudonym mapping", how="deleted, so no day leads to them by their id"),
    Removed(place="database pages", how="overwritten where that was stored"),
    Removed(place="write-ahead log", how="truncated"),
    Removed(place="backups in DATA_DIR", how="as above, in each of them"),
]
_NOT_REACHED = [
    "backups elsewhere until they are restored, and copies of DATA_DIR made by other means",
    "snapshots of the file system, and blocks that a disk has put aside",
    "whatever the senders of events keep",
]
_KEPT_FOR_SPARK = [
    Kept(
        place="limiter tables in SPARK_DIR",
        what="the keyed hash of each id that a running series has counted, so that leaving and "
        "coming back buys no second budget; deleted with the last day of the series' period",
        until=None,
    ),
    Kept(
        place="landed events in SPARK_DIR",
        what="the keyed hash and the days, counted no more; deleted by `dpdau spark compact`",
        until=None,
    ),
]
_NOT_REACHED_IN_SPARK = ["the tables that Spark reads, which are not dpdau's to change"]


def _kept(until: date) -> list[Kept]:
    return [
        Kept(
            place="tombstone",
            what="a keyed hash of each id, by which events dated before the erasure stay refused; "
            "an erasure of the same person later begins its time anew",
            until=until,
        ),
        Kept(place="journal of erasures", what="the same, apart from the store", until=until),
        Kept(
            place="limiter of a running series",
            what="user indices, which lead to nobody but through a tombstone, so that leaving and "
            "coming back buys no second budget; deleted with the last day of the series' period",
            until=None,
        ),
        Kept(
            place="published values",
            what="numbers with noise, private about each person; they stand for ever",
            until=None,
        ),
    ]
