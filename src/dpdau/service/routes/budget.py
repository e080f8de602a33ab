"""`GET /budget` and `/budget/{metric}`: what has been spent; `POST …/cap`: what may be."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from dpdau.model.calendar import optional_day
from dpdau.service.answers import json_answer
from dpdau.service.auth import Needs, Scope
from dpdau.service.bodies import documented_body, json_body
from dpdau.service.context import Context
from dpdau.service.links import OF_PERIOD, linked
from dpdau.service.openapi import problems
from dpdau.service.parameters import DAY_SCHEMA, MetricInPath
from dpdau.views import BudgetTotalsView, BudgetView

__all__ = ["router"]

router = APIRouter(prefix="/budget", tags=["budget"])

_READ = [Depends(Needs(Scope.READ))]
_ADMIN = [Depends(Needs(Scope.ADMIN))]


class RaiseRequest(BaseModel):
    """A higher cap, and whose decision it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "period": "2025-10",
                "to": 4.0,
                "who": "Ada, data protection",
                "why": "one more correction, as agreed on 2025-10-07",
            }
        },
    )

    period: str = Field(description="The accounting period.")
    to: float = Field(gt=0, allow_inf_nan=False, description="The new cap, above the old one.")
    who: str = Field(description="Who decided; recorded for ever.")
    why: str = Field(description="For what reason; recorded for ever.")


@router.get(
    "",
    dependencies=_READ,
    summary="What everything published has cost",
    response_model=BudgetTotalsView,
    responses=problems(401, 403, 429, 503),
)
def totals(context: Context) -> Response:
    """The budgets of all metrics and periods, and what they cost one person together."""
    return json_answer(context.application.budget_totals())


@router.get(
    "/{metric}",
    dependencies=_READ,
    summary="A metric's budget",
    response_model=BudgetView,
    responses=problems(401, 403, 404, 422, 429, 503) | linked(**OF_PERIOD),
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


@router.post(
    "/{metric}/cap",
    dependencies=_ADMIN,
    summary="Raise a cap",
    response_model=BudgetView,
    responses=problems(400, 401, 403, 404, 413, 422, 429, 503, 507) | linked(**OF_PERIOD),
    openapi_extra=documented_body(
        {"application/json": {"schema": RaiseRequest.model_json_schema()}}
    ),
)
async def raise_cap(request: Request, context: Context, metric: MetricInPath) -> Response:
    """Allow a metric to cost more in one period.

    The raise is a row of the ledger; nothing takes it back. Answers with the budget.
    """
    body = await json_body(request, context, RaiseRequest)
    view = await run_in_threadpool(
        context.application.raise_cap, metric, body.period, body.to, who=body.who, why=body.why
    )
    return json_answer(view)
