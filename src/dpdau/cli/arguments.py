"""Arguments that several commands take, and what turns their texts into values."""

from typing import Annotated, TypeAlias

import typer

from dpdau.errors import InvalidValueError
from dpdau.model.calendar import optional_day
from dpdau.model.releases import metric_named

__all__ = [
    "Day",
    "MetricName",
    "PublishFrom",
    "PublishThrough",
    "Window",
    "metric_named",
    "optional_day",
    "readable",
]

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
PublishThrough: TypeAlias = Annotated[
    str | None,
    typer.Option(metavar="DAY", help="The newest day to publish; by default the last closed."),
]
PublishFrom: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="DAY",
        help="The oldest day to publish; by default all that is due since the store was made.",
    ),
]


def readable(text: str, parameter: str) -> str:
    """A word that came as text; what came as other bytes has surrogates in their place.

    Raises:
        InvalidValueError: if it did not.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidValueError(parameter, "not shown", "UTF-8 text") from None
    return text
