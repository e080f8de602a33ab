"""`GET /dau/{day}`, `/mau`, `/series/{metric}` and `/releases/{release_id}`: published values.

Handlers are plain functions, which FastAPI runs in threads: a release may wait for the store.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Path, Query
from fastapi.responses import Response

from dpdau.model.calendar import optional_day
from dpdau.model.releases import Metric
from dpdau.service.answers import csv_answer, json_answer, prefers_csv
from dpdau.service.auth import Needs, Scope
from dpdau.service.context import Context
from dpdau.service.openapi import problems
from dpdau.service.parameters import DAY_SCHEMA, Day, MetricInPath, WindowDays
from dpdau.views import ExplanationView, ReleaseView, SeriesView, ValueView

__all__ = ["router"]

router = APIRouter(tags=["releases"], dependencies=[Depends(Needs(Scope.READ))])

_CSV_COLUMNS = [name for name in ValueView.model_fields if name != "guarantee"]

_EndDay = Annotated[
    str | None,
    Query(
        description="The last day, YYYY-MM-DD; default: the newest closed day.",
        json_schema_extra=DAY_SCHEMA,
    ),
]
_StartDay = Annotated[
    str | None,
    Query(
        description="The first day, YYYY-MM-DD; default: the first of the last day's period.",
        json_schema_extra=DAY_SCHEMA,
    ),
]
_ReleaseId = Annotated[
    str, Path(description="As releases carry it.", examples=["mau-30d-2025-10-07"])
]


@router.get(
    "/dau/{day}",
    summary="Daily active users",
    response_model=ReleaseView,
    responses=problems(401, 403, 404, 409, 422, 429, 503, 507),
)
def daily(context: Context, day: Day) -> Response:
    """How many distinct people were active on a closed day, privately.

    The first answer for a day is released for good: asking again gives the same and is free.
    """
    return json_answer(context.application.release(Metric.DAU, day))


@router.get(
    "/mau",
    summary="Monthly active users",
    response_model=ReleaseView,
    responses=problems(401, 403, 404, 409, 422, 429, 503, 507),
)
def monthly(context: Context, end: _EndDay = None, window: WindowDays = None) -> Response:
    """How many distinct people were active in the window that ends on a closed day, privately."""
    day = optional_day(end, "end") or context.application.calendar.last_closed_day()
    return json_answer(context.application.release(Metric.MAU, day, window))


@router.get(
    "/series/{metric}",
    summary="The values of a range of days",
    response_model=SeriesView,
    responses=problems(401, 403, 404, 422, 429, 503, 507)
    | {
        200: {"description": "The values.", "content": {"text/csv": {"schema": {"type": "string"}}}}
    },
)
def series(
    *,
    context: Context,
    metric: MetricInPath,
    start: _StartDay = None,
    end: _EndDay = None,
    window: WindowDays = None,
    form: Annotated[
        Literal["json", "csv"] | None,
        Query(alias="format", description="Default: what Accept prefers, else JSON."),
    ] = None,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """All published values of a range of days; closed days of a continual series are published."""
    calendar = context.application.calendar
    last = optional_day(end, "end") or calendar.last_closed_day()
    first = optional_day(start, "start") or calendar.period_of(last).first
    view = context.application.series(metric, first, last, window)
    if form == "csv" or (form is None and prefers_csv(accept)):
        return csv_answer(_CSV_COLUMNS, [value.model_dump(mode="json") for value in view.releases])
    return json_answer(view)


@router.get(
    "/releases/{release_id}",
    summary="A published value",
    response_model=ReleaseView,
    responses=problems(401, 403, 404, 422, 429, 503),
)
def released(context: Context, release_id: _ReleaseId) -> Response:
    """A value that was published before, by its id."""
    return json_answer(context.application.released(release_id))


@router.get(
    "/releases/{release_id}/explain",
    summary="What a published value means",
    response_model=ExplanationView,
    responses=problems(401, 403, 404, 422, 429, 503),
)
def explain(context: Context, release_id: _ReleaseId) -> Response:
    """What was counted, how sure it is, what it cost, what protects whom, and what it leaves out.

    As fields and as sentences, all from the release, its ledger rows and the configuration.
    """
    return json_answer(context.application.explain(release_id))
