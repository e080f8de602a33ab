"""Parameters that several routes take."""

from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Path, Query

from dpdau.model.calendar import parse_day
from dpdau.model.releases import Metric, metric_named

__all__ = ["DAY_SCHEMA", "Day", "MetricInPath", "WindowDays"]

DAY_SCHEMA: dict[str, Any] = {"format": "date"}


async def _metric(
    metric: Annotated[
        str, Path(description="What is counted.", json_schema_extra={"enum": list(Metric)})
    ],
) -> Metric:
    return metric_named(metric)


async def _day(
    day: Annotated[
        str,
        Path(
            description="A calendar day, YYYY-MM-DD.",
            json_schema_extra=DAY_SCHEMA,
            examples=["2025-10-07"],
        ),
    ],
) -> date:
    return parse_day(day)


MetricInPath = Annotated[Metric, Depends(_metric)]
Day = Annotated[date, Depends(_day)]
WindowDays = Annotated[
    int | None,
    Query(ge=1, description="Trailing days counted, end day included; default: the series' own."),
]
