"""`GET /operations`: the service at work, for the dashboard of operators."""

from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field

from dpdau.model.ledger import LedgerKind, LedgerRow
from dpdau.model.releases import Metric
from dpdau.service.answers import json_answer
from dpdau.service.auth import Needs, Scope
from dpdau.service.context import Context
from dpdau.service.openapi import problems
from dpdau.views import ErasureView

__all__ = ["router"]

router = APIRouter(tags=["admin"], dependencies=[Depends(Needs(Scope.ADMIN))])


class Ingestion(BaseModel):
    """What was ingested since the service started, in events."""

    accepted: int
    rejected: int
    refused_after_erasure: int = Field(description="Dropped because their user had been erased.")
    waiting: int = Field(description="Received and not yet committed.")
    failed_commits: int = Field(description="Groups of events that were not stored.")


class RowSummary(BaseModel):
    """A row of the ledger without what it holds."""

    sequence: int
    kind: LedgerKind
    metric: Metric
    period: str
    subject: str
    recorded_at: datetime
    hash: str

    @classmethod
    def of(cls, row: LedgerRow) -> Self:
        """The summary of a row."""
        return cls.model_validate(row, from_attributes=True)


class Verification(BaseModel):
    """The newest recomputation of all that the ledger claims."""

    finished_at: datetime
    seconds: float = Field(description="How long it took.")
    fault: str | None = Field(description="The first thing that is wrong; null if all is well.")


class LedgerState(BaseModel):
    """The ledger's end, and whether it may grow."""

    rows: int
    newest: list[RowSummary] = Field(description="Newest first.")
    fault: str | None = Field(description="Why nothing more is released; null if all is well.")
    verification: Verification | None = Field(
        description="What the service found when it last verified all of it; null before the first."
    )


class Operations(BaseModel):
    """The service at work."""

    now: datetime = Field(description="When this was answered, to make rates of two answers.")
    ingestion: Ingestion
    erasures_waiting: int = Field(description="Erasures whose pages wait to be purged.")
    erasures: list[ErasureView] = Field(description="The last ones requested, newest first.")
    erasure_oldest_requested_at: datetime | None = Field(
        description="When the oldest that waits was requested; null if none does."
    )
    days_due: int = Field(description="Closed days of continual series that wait to be published.")
    days_due_since: datetime | None = Field(
        description="When the oldest of them closed; null if none waits."
    )
    ledger: LedgerState


@router.get(
    "/operations",
    summary="The service at work",
    response_model=Operations,
    responses=problems(401, 403, 422, 429, 503),
)
def operations(
    context: Context,
    rows: Annotated[
        int, Query(ge=0, le=100, description="How many rows of the ledger, and erasures.")
    ] = 10,
) -> Response:
    """Ingestion since the start, what waits, and the newest erasures and rows of the ledger.

    Whether the ledger is whole is what `readyz` knows. The service recomputes all of it every hour;
    `GET /ledger/verify` does so at once.
    """
    application = context.application
    with application.store.read() as reader:
        head = reader.ledger_head()
        count = 0 if head is None else head.sequence
        newest = reader.ledger(after=max(count - rows, 0))
        waiting = reader.unfinished_erasures()
        erasures = reader.newest_erasures(rows)
    due = application.publisher.due()
    fault = application.guard.stopped_by()
    verified = context.verifier.newest
    return json_answer(
        Operations(
            now=application.calendar.now(),
            ingestion=Ingestion(**context.metrics.ingestion()),
            erasures_waiting=len(waiting),
            erasures=[ErasureView.of(each) for each in erasures],
            erasure_oldest_requested_at=waiting[0].requested_at if waiting else None,
            days_due=due.days,
            days_due_since=due.since,
            ledger=LedgerState(
                rows=count,
                newest=[RowSummary.of(row) for row in reversed(newest)],
                fault=None if fault is None else fault.message,
                verification=None
                if verified is None
                else Verification.model_validate(verified, from_attributes=True),
            ),
        )
    )
