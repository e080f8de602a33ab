"""Published values, one or many."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

import msgspec
from pydantic import Field

from dpdau.model.releases import Mechanism, Metric, Release, SketchKind
from dpdau.pipeline.budget import BudgetStatement
from dpdau.pipeline.publish import SeriesAnswer
from dpdau.views.base import View
from dpdau.views.budgets import BudgetView

__all__ = ["GuaranteeView", "ReleaseView", "SeriesView", "ValueView"]


class GuaranteeView(View):
    """The promise that a value is published under."""

    unit: Literal["user"] = "user"
    neighbours: Literal["add or remove one user's whole stream"] = (
        "add or remove one user's whole stream"
    )
    period: str = Field(description="The accounting period over which the promise holds.")
    epsilon: float = Field(
        description="All values of the metric for the period cost at most this ε together."
    )
    delta: float


class ValueView(View):
    """One published value with its error."""

    metric: Metric
    day: date
    window_days: int
    estimate: int = Field(description="The number to quote.")
    estimate_raw: float = Field(description="The unbiased value before rounding and clamping at 0.")
    std_error: float = Field(description="Standard error of estimate_raw, in users.")
    lower_95: float
    upper_95: float
    band_lower_95: float | None = Field(
        description="The band that holds for all days of the period at once; null outside a continual series."
    )
    band_upper_95: float | None
    epsilon: float = Field(
        description="What this value cost; in a continual series, what the whole period's series costs."
    )
    delta: float
    mechanism: Mechanism
    sketch: SketchKind
    release_id: str
    released_at: datetime
    revision: int
    guarantee: GuaranteeView

    @classmethod
    def of(cls, release: Release, guarantee: GuaranteeView) -> "ValueView":
        """The view of a release."""
        return cls(guarantee=guarantee, **_shown(release))


class ReleaseView(ValueView):
    """One published value with its error and its price."""

    budget: BudgetView

    @classmethod
    def priced(
        cls, release: Release, guarantee: GuaranteeView, statement: BudgetStatement
    ) -> "ReleaseView":
        """The view of a release beside what its period has cost."""
        budget = BudgetView.of(statement, guarantee.delta)
        return cls(guarantee=guarantee, budget=budget, **_shown(release))


class SeriesView(View):
    """The published values of a range of days."""

    metric: Metric
    window_days: int
    start: date
    end: date
    releases: list[ValueView]
    unpublished: list[date] = Field(description="Days of the range that have no value (yet).")
    budgets: list[BudgetView] = Field(description="The budgets of the periods in the range.")

    @classmethod
    def of(
        cls,
        answer: SeriesAnswer,
        start: date,
        end: date,
        values: Sequence[ValueView],
        budgets: Sequence[BudgetView],
    ) -> "SeriesView":
        """The view of an answer."""
        return cls(
            metric=answer.metric,
            window_days=answer.window_days,
            start=start,
            end=end,
            releases=list(values),
            unpublished=answer.unpublished,
            budgets=list(budgets),
        )


def _shown(release: Release) -> dict[str, object]:
    fields = msgspec.structs.asdict(release)
    return {name: fields[name] for name in ValueView.model_fields if name in fields}
