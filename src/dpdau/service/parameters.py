"""Parameters that several routes take."""

from datetime import date
from typing import Annotated, Any

from fastapi import Depends, Path, Query

from dpdau.errors import UnknownMetricError
from dpdau.model.calendar import parse_day
from dpdau.model.releases import Metric

__all__ = ["DAY_SCHEMA", "Day", "MetricInPath", "WindowDays", "optional_day", "parse_metric"]

DAY_SCHEMA: dict[str, Any] = {"format": "date"}


def parse_metric(text: str) -> Metric:
    """Read a metric's name.

    Raises:
        UnknownMetricError: if it is none.
    """
    try:
        return Metric(text)
    except ValueError:
        raise UnknownMetricError(text) from None


def optional_day(text: str | None, parameter: str) -> date | None:
    """Read a day that may be left out.

    Raises:
        InvalidValueError: if it is no day.
    """
    return None if text is None else parse_day(text, parameter)


async def _metric(
    metric: Annotated[
        str, Path(description="What is counted.", json_schema_extra={"enum": list(Metric)})
    ],
) -> Metric:
    return parse_metric(metric)


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
