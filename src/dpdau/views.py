"""What readers see: releases, budgets and erasures as JSON objects.

The service and the command line show the same objects. Everything here is derived from the
ledger and the configuration; nothing depends on the activity except through noise.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from dpdau.model.erasures import Erasure
from dpdau.model.releases import Mechanism, Metric, Release, SketchKind
from dpdau.pipeline.budget import BudgetStatement, BudgetTotals
from dpdau.pipeline.publish import SeriesAnswer
from dpdau.privacy.accountant import Composition

__all__ = [
    "BudgetTotalsView",
    "BudgetView",
    "ErasureView",
    "GuaranteeView",
    "PairView",
    "RdpView",
    "ReleaseView",
    "SeriesView",
    "ValueView",
]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class PairView(_View):
    """An (ε, δ) pair."""

    epsilon: float
    delta: float


class RdpView(PairView):
    """What Rényi composition gives."""

    order: float | None = Field(
        description="The Rényi order α that gives this ε; null if nothing was released."
    )
    curve: dict[str, float] = Field(description="ε in Rényi divergence by order α.")


class GuaranteeView(_View):
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


class BudgetView(_View):
    """What one metric has cost one person in one period, and what is left."""

    metric: Metric
    period: str
    epsilon_spent: float = Field(description="The tightest proven ε of everything released.")
    epsilon_remaining: float
    epsilon_cap: float
    delta: float = Field(description="The δ at which ε is enforced.")
    releases: int
    method: str = Field(description="The composition that gives epsilon_spent.")
    naive: float = Field(description="ε by adding up.")
    naive_delta: float = Field(description="The δ that belongs to naive.")
    advanced: PairView
    rdp: RdpView

    @classmethod
    def of(cls, statement: BudgetStatement, delta: float) -> "BudgetView":
        """The view of a statement."""
        composition = statement.composition
        return cls(
            metric=statement.metric,
            period=statement.period,
            epsilon_spent=statement.epsilon_spent,
            epsilon_remaining=statement.epsilon_remaining,
            epsilon_cap=statement.cap,
            delta=delta,
            releases=statement.releases,
            method=composition.tight.method,
            naive=composition.naive.epsilon,
            naive_delta=composition.naive.delta,
            advanced=_pair(composition.advanced),
            rdp=_rdp(composition),
        )


class CompositionView(PairView):
    """What several metrics or periods cost together, by the tightest composition."""

    method: str

    @classmethod
    def of(cls, composition: Composition) -> "CompositionView":
        """The view of a composition."""
        tight = composition.tight
        return cls(epsilon=tight.epsilon, delta=tight.delta, method=tight.method)


class BudgetTotalsView(_View):
    """What everything published has cost one person."""

    periods: list[BudgetView]
    joint: dict[str, CompositionView] = Field(description="All metrics together, per period.")
    lifetime: CompositionView = Field(description="All metrics and periods together.")

    @classmethod
    def of(cls, totals: BudgetTotals, delta: float) -> "BudgetTotalsView":
        """The view of the totals."""
        return cls(
            periods=[BudgetView.of(statement, delta) for statement in totals.periods],
            joint={name: CompositionView.of(each) for name, each in totals.joint.items()},
            lifetime=CompositionView.of(totals.lifetime),
        )


class ValueView(_View):
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


class SeriesView(_View):
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


class ErasureView(_View):
    """The state of an erasure; the same whether the people were known or not."""

    erasure_id: str
    state: Literal["received", "done"] = Field(
        description="done once no page on disk holds a trace."
    )
    requested_at: datetime
    completed_at: datetime | None
    users: int = Field(description="How many distinct people the request named.")

    @classmethod
    def of(cls, erasure: Erasure) -> "ErasureView":
        """The view of a record."""
        return cls(
            erasure_id=erasure.erasure_id,
            state="received" if erasure.completed_at is None else "done",
            requested_at=erasure.requested_at,
            completed_at=erasure.completed_at,
            users=erasure.users,
        )


def _shown(release: Release) -> dict[str, object]:
    fields = msgspec.structs.asdict(release)
    return {name: fields[name] for name in ValueView.model_fields if name in fields}


def _pair(part: object) -> PairView:
    return PairView.model_validate(part, from_attributes=True)


def _rdp(composition: Composition) -> RdpView:
    rdp = composition.rdp
    return RdpView(
        epsilon=rdp.epsilon,
        delta=rdp.delta,
        order=rdp.order,
        curve={f"{order:g}": value for order, value in rdp.curve.items()},
    )
