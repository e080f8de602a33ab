"""`GET /dau/{day}`, `/mau`, `/series/{metric}`, `/stickiness`, `/releases/{release_id}`: values.

Handlers are plain functions, which FastAPI runs in threads: a release may wait for the store.
"""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query
from fastapi.responses import Response

from dpdau.model.calendar import optional_day
from dpdau.model.releases import Metric
from dpdau.service.answers import csv_answer, json_answer, prefers_csv
from dpdau.service.auth import Needs, Scope
from dpdau.service.context import Context, ServiceContext
from dpdau.service.links import OF_RELEASE, linked, to
from dpdau.service.openapi import problems
from dpdau.service.parameters import DAY_SCHEMA, Day, MetricInPath, WindowDays
from dpdau.views import (
    ExplanationView,
    ReleaseView,
    SeriesView,
    StickinessValueView,
    StickinessView,
    ValueView,
)

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
_Form = Annotated[
    Literal["json", "csv"] | None,
    Query(alias="format", description="Default: what Accept prefers, else JSON."),
]
_Accept = Annotated[str, Header(include_in_schema=False)]
_CSV_TOO: dict[int | str, dict[str, Any]] = {
    200: {"description": "The values.", "content": {"text/csv": {"schema": {"type": "string"}}}}
}
_OLDEST = {
    "links": {
        "oldest": to(
            "/releases/{release_id}",
            "The first of the values, if there is any.",
            release_id="$response.body#/releases/0/release_id",
        )
    }
}


@router.get(
    "/dau/{day}",
    summary="Daily active users",
    response_model=ReleaseView,
    responses=problems(401, 403, 404, 409, 422, 429, 503, 507) | linked(**OF_RELEASE),
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
    responses=problems(401, 403, 404, 409, 422, 429, 503, 507) | linked(**OF_RELEASE),
)
def monthly(context: Context, end: _EndDay = None, window: WindowDays = None) -> Response:
    """How many distinct people were active in the window that ends on a closed day, privately."""
    day = optional_day(end, "end") or context.application.calendar.last_closed_day()
    return json_answer(context.application.release(Metric.MAU, day, window))


@router.get(
    "/series/{metric}",
    summary="The values of a range of days",
    response_model=SeriesView,
    responses=problems(401, 403, 404, 422, 429, 503, 507) | {200: _CSV_TOO[200] | _OLDEST},
)
def series(
    *,
    context: Context,
    metric: MetricInPath,
    start: _StartDay = None,
    end: _EndDay = None,
    window: WindowDays = None,
    publish: Annotated[
        bool,
        Query(
            description="false for a mere look: no period is opened and nothing is released or "
            "spent."
        ),
    ] = True,
    form: _Form = None,
    accept: _Accept = "",
) -> Response:
    """All published values of a range of days; closed days of a continual series are published."""
    first, last = _range(context, start, end)
    view = context.application.series(metric, first, last, window, publish=publish)
    if _wants_csv(form, accept):
        return csv_answer(_CSV_COLUMNS, [value.model_dump(mode="json") for value in view.releases])
    return json_answer(view)


@router.get(
    "/stickiness",
    summary="DAU as a share of MAU",
    response_model=StickinessView,
    responses=problems(401, 403, 422, 429, 503, 507) | _CSV_TOO,
)
def stickiness(
    context: Context,
    start: _StartDay = None,
    end: _EndDay = None,
    form: _Form = None,
    accept: _Accept = "",
) -> Response:
    """DAU/MAU with its interval, for the days of a range on which both are published.

    It is computed from published values alone, so it costs nothing and publishes nothing.
    """
    view = context.application.stickiness(*_range(context, start, end))
    if _wants_csv(form, accept):
        rows = [value.model_dump(mode="json") for value in view.values]
        return csv_answer(list(StickinessValueView.model_fields), rows)
    return json_answer(view)


@router.get(
    "/releases/{release_id}",
    summary="A published value",
    response_model=ReleaseView,
    responses=problems(401, 403, 404, 422, 429, 503) | linked(**OF_RELEASE),
)
def released(context: Context, release_id: _ReleaseId) -> Response:
    """A value that was published before, by its id."""
    return json_answer(context.application.released(release_id))


@router.get(
    "/releases/{release_id}/explain",
    summary="What a published value means",
    response_model=ExplanationView,
    responses=problems(401, 403, 404, 422, 429, 503)
    | linked(
        newest=to(
            "/releases/{release_id}",
            "The newest value for the same question.",
            release_id="$response.body#/newest",
        ),
    ),
)
def explain(context: Context, release_id: _ReleaseId) -> Response:
    """What was counted, how sure it is, what it cost, what protects whom, and what it leaves out.

    As fields and as sentences, all from the release, its ledger rows and the configuration.
    """
    return json_answer(context.application.explain(release_id))


def _range(context: ServiceContext, start: str | None, end: str | None) -> tuple[date, date]:
    calendar = context.application.calendar
    last = optional_day(end, "end") or calendar.last_closed_day()
    return optional_day(start, "start") or calendar.period_of(last).first, last


def _wants_csv(form: str | None, accept: str) -> bool:
    return form == "csv" or (form is None and prefers_csv(accept))
