"""Budgets: what was spent and what is left."""

from typing import Any

from pydantic import Field

from dpdau.model.releases import Metric
from dpdau.pipeline.budget import BudgetStatement, BudgetTotals
from dpdau.privacy.accountant import Composition
from dpdau.views.base import View

__all__ = ["BudgetTotalsView", "BudgetView", "PairView", "RdpView"]


class PairView(View):
    """An (ε, δ) pair."""

    epsilon: float
    delta: float


class RdpView(PairView):
    """What Rényi composition gives."""

    order: float | None = Field(
        description="The Rényi order α that gives this ε; null if nothing was released."
    )
    curve: dict[str, float] = Field(description="ε in Rényi divergence by order α.")


class _Composed(View):
    """What charges cost together, by every way of composing them."""

    method: str = Field(description="The composition that gives the tightest proven ε.")
    naive: float = Field(description="ε by adding up.")
    naive_delta: float = Field(description="The δ that belongs to naive.")
    advanced: PairView
    rdp: RdpView


class BudgetView(_Composed):
    """What one metric has cost one person in one period, and what is left."""

    metric: Metric
    period: str
    epsilon_spent: float = Field(description="The tightest proven ε of everything released.")
    epsilon_remaining: float
    epsilon_cap: float
    delta: float = Field(description="The δ at which ε is enforced.")
    releases: int

    @classmethod
    def of(cls, statement: BudgetStatement, delta: float) -> "BudgetView":
        """The view of a statement."""
        return cls(
            metric=statement.metric,
            period=statement.period,
            epsilon_spent=statement.epsilon_spent,
            epsilon_remaining=statement.epsilon_remaining,
            epsilon_cap=statement.cap,
            delta=delta,
            releases=statement.releases,
            **_composed(statement.composition),
        )


class CompositionView(_Composed):
    """What several metrics or periods cost together."""

    epsilon: float = Field(description="The tightest proven ε.")
    delta: float = Field(description="The δ that belongs to it.")

    @classmethod
    def of(cls, composition: Composition) -> "CompositionView":
        """The view of a composition."""
        tight = composition.tight
        return cls(epsilon=tight.epsilon, delta=tight.delta, **_composed(composition))


class BudgetTotalsView(View):
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


def _composed(composition: Composition) -> dict[str, Any]:
    rdp = composition.rdp
    curve = {f"{order:g}": divergence for order, divergence in rdp.curve.items()}
    return {
        "method": composition.tight.method,
        "naive": composition.naive.epsilon,
        "naive_delta": composition.naive.delta,
        "advanced": PairView.model_validate(composition.advanced, from_attributes=True),
        "rdp": RdpView(epsilon=rdp.epsilon, delta=rdp.delta, order=rdp.order, curve=curve),
    }
