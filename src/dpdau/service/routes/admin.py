"""Routes for administrators: publishing, revising, the ledger and metrics."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict, Field

from dpdau.application import Application
from dpdau.errors import DpdauError
from dpdau.model.calendar import Period, optional_day, parse_day
from dpdau.model.ledger import LedgerRow
from dpdau.model.ledger_files import LedgerFormat, ledger_file
from dpdau.model.releases import metric_named
from dpdau.service.answers import json_answer
from dpdau.service.auth import Needs, Scope
from dpdau.service.bodies import documented_body, json_body
from dpdau.service.context import Context
from dpdau.service.links import OF_RELEASE, linked, to
from dpdau.service.openapi import problems
from dpdau.service.parameters import DAY_SCHEMA
from dpdau.views import ReleaseView, RotationView, VerificationView

__all__ = ["router"]

router = APIRouter(tags=["admin"], dependencies=[Depends(Needs(Scope.ADMIN))])


class PublishRequest(BaseModel):
    """Which days to publish."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {}})

    through: str | None = Field(
        default=None,
        description="The newest day, YYYY-MM-DD; default: the newest closed one.",
        json_schema_extra=DAY_SCHEMA,
    )
    start: str | None = Field(
        default=None,
        alias="from",
        description="The oldest day, YYYY-MM-DD; default: all that is due. Under per-release "
        "mechanisms nothing is published without it, since each day costs budget.",
        json_schema_extra=DAY_SCHEMA,
    )


class Published(BaseModel):
    """What was published."""

    published: list[str] = Field(description="The ids of the new releases, oldest first.")


class ReviseRequest(BaseModel):
    """Which released value to measure again."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"metric": "dau", "day": "2025-10-07"}}
    )

    metric: str = Field(description="dau or mau.", json_schema_extra={"enum": ["dau", "mau"]})
    day: str = Field(description="YYYY-MM-DD.", json_schema_extra=DAY_SCHEMA)
    window: int | None = Field(default=None, ge=1, description="Default: the series' own.")


class AcknowledgeRequest(BaseModel):
    """Whose decision it is to go on after a rollback."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"who": "Ada, operations", "why": "the disk died; a backup was put back"}
        },
    )

    who: str = Field(description="Who decided; recorded for ever.")
    why: str = Field(description="How it came to be; recorded for ever.")
    nothing_lost: bool = Field(
        default=False,
        description="Only if the copy is missing: the ledger is known to be the newest.",
    )


class Ledger(BaseModel):
    """The record of every release and what it cost."""

    rows: list[dict[str, Any]] = Field(description="Oldest first, chained by SHA-256 hashes.")


@router.post(
    "/publish",
    summary="Publish closed days",
    response_model=Published,
    responses=problems(400, 401, 403, 413, 422, 429, 503, 507)
    | linked(
        oldest=to(
            "/releases/{release_id}",
            "The first of what was published, if there was any.",
            release_id="$response.body#/published/0",
        ),
    ),
    openapi_extra=documented_body(
        {"application/json": {"schema": PublishRequest.model_json_schema()}}, required=False
    ),
)
async def publish(request: Request, context: Context) -> Response:
    """Publish what is due, in order.

    If a budget has no room for a day, the problem's `published` names what was published before
    it and stands.
    """
    body = await json_body(request, context, PublishRequest)
    end = optional_day(body.through, "through")
    start = optional_day(body.start, "from")
    published: list[str] = []

    def run() -> None:
        for release in context.application.publish(end, start):
            published.append(release.release_id)  # noqa: PERF401 - what came before an error counts

    try:
        await run_in_threadpool(run)
    except DpdauError as error:
        error.details["published"] = published
        raise
    return json_answer(Published(published=published))


@router.post(
    "/revise",
    summary="Correct a published value",
    response_model=ReleaseView,
    responses=problems(400, 401, 403, 404, 413, 422, 429, 503, 507) | linked(**OF_RELEASE),
    openapi_extra=documented_body(
        {"application/json": {"schema": ReviseRequest.model_json_schema()}}
    ),
)
async def revise(request: Request, context: Context) -> Response:
    """Measure a released day again on what is known now, at the price of one release."""
    body = await json_body(request, context, ReviseRequest)
    metric = metric_named(body.metric)
    day = parse_day(body.day)
    view = await run_in_threadpool(context.application.revise, metric, day, body.window)
    return json_answer(view)


@router.get(
    "/ledger",
    summary="The ledger",
    response_model=Ledger,
    responses=problems(401, 403, 404, 422, 429, 503)
    | {
        200: {
            "description": "The rows.",
            "content": {form.media_type: {"schema": {"type": "string"}} for form in LedgerFormat},
        }
    },
)
def ledger(
    context: Context,
    metric: Annotated[str | None, Query(description="Only rows of this metric.")] = None,
    period: Annotated[str | None, Query(description="Only rows of this period.")] = None,
    form: Annotated[
        Literal["json", "jsonl", "csv"],
        Query(
            alias="format",
            description="jsonl and csv are what `dpdau ledger --export` writes: files from which "
            "hashes and sums can be recomputed.",
        ),
    ] = "json",
) -> Response:
    """Every release and what it cost, oldest first."""
    rows = _rows(context.application, metric, period)
    if form == "json":
        return json_answer({"rows": rows})
    file = LedgerFormat(form)
    return Response(ledger_file(rows, file), media_type=file.media_type)


@router.post(
    "/ledger/acknowledge",
    summary="Acknowledge a rollback",
    response_model=Ledger,
    responses=problems(400, 401, 403, 413, 422, 429, 503, 507)
    | linked(verification=to("/ledger/verify", "Whether the ledger is whole now.")),
    openapi_extra=documented_body(
        {"application/json": {"schema": AcknowledgeRequest.model_json_schema()}}
    ),
)
async def acknowledge(request: Request, context: Context) -> Response:
    """Let releases go on after an older store was put back, with no budget given back.

    What the copy of the ledger's head remembers and the ledger lost is charged again, and series
    that lost rows are ended. Answers with the new rows.
    """
    body = await json_body(request, context, AcknowledgeRequest)
    rows = await run_in_threadpool(
        context.application.acknowledge, body.who, body.why, nothing_lost=body.nothing_lost
    )
    return json_answer({"rows": rows})


@router.get(
    "/ledger/verify",
    summary="Verify the ledger",
    response_model=VerificationView,
    responses=problems(401, 403, 429, 503),
)
def verify(context: Context) -> Response:
    """Recompute hashes, values, prices, plans and budgets; the problem names the first fault."""
    return json_answer(context.verifier.run())


@router.get(
    "/rekey",
    summary="How far a rotation of the secret is",
    response_model=RotationView,
    responses=problems(401, 403, 429, 503),
)
def rekey(context: Context) -> Response:
    """How many people are still known under the previous secret, and what to do next."""
    return json_answer(context.application.rotation())


@router.get(
    "/metrics",
    summary="Operational figures",
    response_class=Response,
    responses=problems(401, 403, 429)
    | {200: {"description": "Prometheus' text format.", "content": {"text/plain": {}}}},
)
def metrics(context: Context) -> Response:
    """The service at work, for Prometheus; docs/metrics.md has every name."""
    return Response(context.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


def _rows(application: Application, metric: str | None, period: str | None) -> list[LedgerRow]:
    return application.ledger(
        None if metric is None else metric_named(metric),
        None if period is None else Period.named(period).name,
    )
