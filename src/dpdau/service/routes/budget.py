"""`GET /budget` and `/budget/{metric}`: what has been spent."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from dpdau.service.answers import json_answer
from dpdau.service.auth import Needs, Scope
from dpdau.service.context import Context
from dpdau.service.openapi import problems
from dpdau.service.parameters import DAY_SCHEMA, MetricInPath, optional_day
from dpdau.views import BudgetTotalsView, BudgetView

__all__ = ["router"]

router = APIRouter(prefix="/budget", tags=["budget"], dependencies=[Depends(Needs(Scope.READ))])


@router.get(
    "",
    summary="What everything published has cost",
    response_model=BudgetTotalsView,
    responses=problems(401, 403, 429, 503),
)
def totals(context: Context) -> Response:
    """The budgets of all metrics and periods, and what they cost one person together."""
    return json_answer(context.application.budget_totals())


@router.get(
    "/{metric}",
    summary="A metric's budget",
    response_model=BudgetView,
    responses=problems(401, 403, 404, 422, 429, 503),
)
def of_metric(
    context: Context,
    metric: MetricInPath,
    day: Annotated[
        str | None,
        Query(
            description="A day of the period asked for, YYYY-MM-DD; default: today.",
            json_schema_extra=DAY_SCHEMA,
        ),
    ] = None,
) -> Response:
    """What a metric has cost one person in a period, and what is left."""
    return json_answer(context.application.budget_of(metric, optional_day(day, "day")))
