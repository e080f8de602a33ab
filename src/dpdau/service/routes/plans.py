"""`GET /plan`: what would be published, how precisely and for how much."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from dpdau.model.releases import Metric, metric_named
from dpdau.pipeline.planning import PlanRequest
from dpdau.service.answers import json_answer
from dpdau.service.auth import Needs, Scope
from dpdau.service.context import Context
from dpdau.service.links import OF_PERIOD, linked
from dpdau.service.openapi import problems
from dpdau.service.parameters import MetricInPath, WindowDays
from dpdau.views import ForecastView

__all__ = ["router"]

router = APIRouter(prefix="/plan", tags=["plans"], dependencies=[Depends(Needs(Scope.READ))])


@router.get(
    "",
    summary="What accuracy a budget buys",
    response_model=ForecastView,
    responses=problems(401, 403, 404, 422, 429, 503) | linked(**OF_PERIOD),
)
def forecast(
    *,
    context: Context,
    users: Annotated[
        int, Query(ge=1, description="How many are expected to be counted on a typical day.")
    ],
    target_error: Annotated[
        str | None,
        Query(description="The standard error wanted: `1%` of the users, or a number of users."),
    ] = None,
    epsilon: Annotated[
        float | None,
        Query(gt=0, description="What the period's values may cost; default: the metric's budget."),
    ] = None,
    metric: Annotated[
        str, Query(description="What is counted.", json_schema_extra={"enum": list(Metric)})
    ] = "dau",
    period: Annotated[
        str | None, Query(description="The accounting period; default: the current one.")
    ] = None,
    window: WindowDays = None,
) -> Response:
    """The expected error of each mechanism, the budget that a target needs, and which to take.

    It follows from the configuration and these figures, never from the activity; nothing is spent.
    """
    request = PlanRequest(
        users=users,
        metric=metric_named(metric),
        target_error=target_error,
        epsilon=epsilon,
        period=period,
        window_days=window,
    )
    return json_answer(context.application.forecast(request))


@router.get(
    "/{metric}/{period}",
    summary="The plan of a period's series",
    response_model=dict[str, Any],
    responses=problems(401, 403, 404, 422, 503),
)
def plan(context: Context, metric: MetricInPath, period: str) -> Response:
    """The strategy of a period's continual series and the certificate of its price.

    Both follow from the configuration and the length of the period, never from the activity.
    """
    found = context.application.plan(metric, period)
    return json_answer({"metric": metric, "period": period, **found.to_dict()})
