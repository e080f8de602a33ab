"""Arguments that several commands take, and how their texts become values."""

from datetime import date
from typing import Annotated, TypeAlias

import typer

from dpdau.errors import UnknownMetricError
from dpdau.model.calendar import parse_day
from dpdau.model.releases import Metric

__all__ = ["Day", "MetricName", "Window", "metric_named", "optional_day"]

Day: TypeAlias = Annotated[str, typer.Argument(metavar="DAY", help="A closed day, YYYY-MM-DD.")]
MetricName: TypeAlias = Annotated[str, typer.Argument(metavar="dau|mau", help="What is counted.")]
Window: TypeAlias = Annotated[
    int | None,
    typer.Option(
        metavar="DAYS",
        help="How many trailing days to count, in place of MAU_WINDOW_DAYS; another window than "
        "that is released by itself, at its own cost.",
    ),
]


def metric_named(name: str) -> Metric:
    """The metric with that name.

    Raises:
        UnknownMetricError: if there is none.
    """
    try:
        return Metric(name)
    except ValueError:
        raise UnknownMetricError(name) from None


def optional_day(text: str | None, option: str) -> date | None:
    """The day written in an option, or None if it was not given.

    Raises:
        InvalidValueError: if the text is no day.
    """
    return None if text is None else parse_day(text, option)
