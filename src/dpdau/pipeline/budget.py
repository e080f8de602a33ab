"""Budgets: what the releases of a period have cost one person, and whether one more fits.

Every figure is computed from the ledger's rows alone, so a reader of the ledger can recompute it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from dpdau.errors import BudgetExhaustedError
from dpdau.model.calendar import Period
from dpdau.model.ledger import LedgerKind, LedgerRow
from dpdau.model.releases import Metric
from dpdau.pipeline.ports import Reader
from dpdau.privacy.accountant import Composition, compose
from dpdau.privacy.charges import Charge, charge_from_dict

__all__ = ["Budget", "BudgetRules", "BudgetStatement", "BudgetTotals"]

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class BudgetRules:
    """What may be spent, and at which parameters it is accounted.

    Attributes:
        caps: the largest ε per metric and period, where no ledger row raises it.
        delta: the δ at which ε is enforced.
        advanced_delta: the δ that advanced composition adds.
        rdp_orders: the Rényi orders α that reports show.
    """

    caps: Mapping[Metric, float]
    delta: float
    advanced_delta: float
    rdp_orders: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BudgetStatement:
    """What one metric has cost one person in one period.

    Attributes:
        metric: whose budget.
        period: which period.
        cap: the largest ε allowed.
        releases: how many values the period's ledger holds.
        composition: naive, advanced, RDP and tightest (ε, δ) of everything charged.
    """

    metric: Metric
    period: str
    cap: float
    releases: int
    composition: Composition

    @property
    def epsilon_spent(self) -> float:
        """The tightest proven ε at the enforced δ."""
        return self.composition.tight.epsilon

    @property
    def epsilon_remaining(self) -> float:
        """What is left of the cap."""
        return max(self.cap - self.epsilon_spent, 0.0)


@dataclass(frozen=True, slots=True)
class BudgetTotals:
    """What everything published has cost one person.

    Attributes:
        periods: statements per metric and period, oldest period first.
        joint: per period, all its metrics together.
        lifetime: all metrics and periods together.
    """

    periods: list[BudgetStatement]
    joint: dict[str, Composition]
    lifetime: Composition


class Budget:
    """Reads the ledger and says what is spent and what is left."""

    def __init__(self, rules: BudgetRules) -> None:
        self.rules = rules

    def statement(self, reader: Reader, metric: Metric, period: Period) -> BudgetStatement:
        """What a metric has cost in a period."""
        rows = reader.ledger(metric=metric, period=period.name)
        return self._statement(metric, period.name, rows)

    def totals(self, reader: Reader) -> BudgetTotals:
        """What everything has cost: per metric and period, per period, and in all."""
        rows = reader.ledger()
        periods = sorted({(row.period, row.metric) for row in rows})
        statements = [
            self._statement(
                metric,
                period,
                [row for row in rows if row.period == period and row.metric == metric],
            )
            for period, metric in periods
        ]
        joint = {
            name: self._compose([row for row in rows if row.period == name])
            for name in sorted({row.period for row in rows})
        }
        return BudgetTotals(statements, joint, self._compose(rows))

    def cap(self, reader: Reader, metric: Metric, period: str) -> float:
        """The largest ε that a metric may cost in a period: configured, or raised since."""
        return self._cap(metric, reader.ledger(metric=metric, period=period, kind=LedgerKind.CAP))

    def require(
        self,
        reader: Reader,
        metric: Metric,
        period: Period,
        charge: Charge,
        kept: Charge | None = None,
    ) -> float:
        """Pass if one more charge keeps the metric within its cap for the period.

        Call it in the transaction that appends the charge's row, so that no other release can
        come between.

        Args:
            reader: of that transaction.
            metric: whose budget.
            period: which period.
            charge: what is to be paid.
            kept: a charge that has to have room afterwards, unless it has none even now.

        Returns:
            The cap in force, to be recorded beside the charge.

        Raises:
            BudgetExhaustedError: if it would exceed the cap.
        """
        rows = reader.ledger(metric=metric, period=period.name)
        charges = _charges(rows)
        cap = self._cap(metric, rows)
        room = cap * (1 + _ROUNDING)
        would_be = self._epsilon(*charges, charge)
        if would_be > room:
            spent = self._epsilon(*charges)
            raise BudgetExhaustedError(metric, period.name, cap=cap, spent=spent, would_be=would_be)
        if kept is not None and self._epsilon(*charges, charge, kept) > room:
            promised = self._epsilon(*charges, kept)
            if promised <= room:
                raise BudgetExhaustedError(
                    metric,
                    period.name,
                    cap=cap,
                    spent=promised,
                    would_be=self._epsilon(*charges, charge, kept),
                    is_kept=True,
                )
        return cap

    def _cap(self, metric: Metric, rows: Sequence[LedgerRow]) -> float:
        raised: list[float] = [
            row.body["epsilon_cap"] for row in rows if row.kind is LedgerKind.CAP
        ]
        return max([self.rules.caps[metric], *raised])

    def _statement(self, metric: Metric, period: str, rows: Sequence[LedgerRow]) -> BudgetStatement:
        return BudgetStatement(
            metric=metric,
            period=period,
            cap=self._cap(metric, rows),
            releases=sum(row.kind is LedgerKind.RELEASE for row in rows),
            composition=self._compose(rows),
        )

    def _compose(self, rows: Sequence[LedgerRow]) -> Composition:
        return self._compose_charges(_charges(rows))

    def _epsilon(self, *charges: Charge) -> float:
        return self._compose_charges(charges).tight.epsilon

    def _compose_charges(self, charges: tuple[Charge, ...]) -> Composition:
        rules = self.rules
        return _compose(charges, rules.delta, rules.advanced_delta, rules.rdp_orders)


def _charges(rows: Sequence[LedgerRow]) -> tuple[Charge, ...]:
    return tuple(charge_from_dict(row.charge) for row in rows if row.charge is not None)


@lru_cache(maxsize=256)
def _compose(
    charges: tuple[Charge, ...], delta: float, advanced_delta: float, orders: tuple[float, ...]
) -> Composition:
    return compose(charges, delta=delta, advanced_delta=advanced_delta, rdp_orders=orders)
