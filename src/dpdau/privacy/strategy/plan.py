"""The plan of one series over one period: strategy, noise, price and certificate."""

import hashlib
import json
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from dpdau.errors import InvalidPlanError, InvalidValueError
from dpdau.privacy.discrete_gaussian import discrete_gaussian_sigma
from dpdau.privacy.strategy.design import MOST_DAYS, design
from dpdau.privacy.strategy.presence import Presence
from dpdau.privacy.strategy.sensitivity import Rows
from dpdau.privacy.strategy.witness import Witness

__all__ = ["Plan", "make_plan"]

_FLOATS = ("sigma", "rho", "epsilon", "delta", "primal", "dual", "gap")
_INTEGERS = ("days", "sensitivity", "scale", "sensitivity_squared")
_FIELDS = {*_FLOATS, *_INTEGERS, "presence", "strategy", "witness"}
_LABELS = {"plan_id", "metric", "period", "epsilon_cap"}

_LARGEST_ENTRY = 2**53
"""Entries and sensitivities beyond this are no exact floats, and no design has them."""


@dataclass(frozen=True)
class Plan:
    """What a series measures in a period, immutable once the period has opened.

    Attributes:
        days: T, the days of the period.
        presence: the set V of presence vectors that one user can have.
        sensitivity: the most that one user present on a day adds to its total.
        strategy: the integer lower-triangular C, T rows of T entries.
        scale: C divided by it is the real design, of sensitivity one up to rounding.
        sensitivity_squared: max over v in V of ‖C·sensitivity·v‖², certified.
        sigma: the discrete Gaussian's parameter, the same for every row.
        rho: the whole period's cost in zCDP, sensitivity_squared/(2·sigma²).
        epsilon: with `delta`, the whole period's (ε, δ).
        delta: as above.
        primal: root-mean-square standard error of the days' estimates, per unit of σ, when the
            strategy is scaled to sensitivity one.
        dual: no strategy for this presence set can have a smaller one.
        gap: primal/dual − 1.
        witness: the distribution on V that proves `dual`.
    """

    days: int
    presence: Presence
    sensitivity: int
    strategy: Rows
    scale: int
    sensitivity_squared: int
    sigma: float
    rho: float
    epsilon: float
    delta: float
    primal: float
    dual: float
    gap: float
    witness: Witness

    @cached_property
    def plan_id(self) -> str:
        """SHA-256 of the plan's canonical JSON, in hexadecimal."""
        canonical = json.dumps(self._content(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """As JSON values, with `plan_id`."""
        return {"plan_id": self.plan_id, **self._content()}

    def _content(self) -> dict[str, Any]:
        return {
            "days": self.days,
            "presence": self.presence.to_dict(),
            "sensitivity": self.sensitivity,
            "strategy": [list(row) for row in self.strategy],
            "scale": self.scale,
            "sensitivity_squared": self.sensitivity_squared,
            "sigma": self.sigma,
            "rho": self.rho,
            "epsilon": self.epsilon,
            "delta": self.delta,
            "primal": self.primal,
            "dual": self.dual,
            "gap": self.gap,
            "witness": self.witness.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Read what `to_dict` wrote; `metric`, `period`, `epsilon_cap` may stand beside it.

        This checks the form. Whether the certificate holds is for `check_plan`.

        Raises:
            InvalidPlanError: something is missing, unknown, or of another type or shape.
        """
        if not isinstance(data, dict):
            raise InvalidPlanError(f"A plan is an object, not {type(data).__name__}.")
        missing, unknown = _FIELDS - set(data), set(data) - _FIELDS - _LABELS
        if missing:
            raise InvalidPlanError(f"The plan has no {', '.join(sorted(missing))}.")
        if unknown:
            raise InvalidPlanError(f"The plan has unknown fields: {', '.join(sorted(unknown))}.")
        numbers: dict[str, Any] = {name: _positive_integer(name, data[name]) for name in _INTEGERS}
        numbers |= {name: _finite(name, data[name]) for name in _FLOATS}
        days = numbers["days"]
        if days > MOST_DAYS:
            raise InvalidPlanError(f"days is {days}; expected 1 to {MOST_DAYS}.")
        plan = cls(
            presence=Presence.from_dict(data["presence"]),
            strategy=_triangular(data["strategy"], days),
            witness=Witness.from_dict(data["witness"]),
            **numbers,
        )
        if data.get("plan_id", plan.plan_id) != plan.plan_id:
            message = f"plan_id is {data['plan_id']!r:.80}, but this content has {plan.plan_id}."
            raise InvalidPlanError(message)
        return plan


def make_plan(
    days: int, presence: Presence, epsilon: float, delta: float, sensitivity: int = 1
) -> Plan:
    """The plan with the least noise for a budget.

    Formal guarantees:
        Unit: one user's whole stream in the period. Neighbours: add or remove it, which moves the
        presence totals by `sensitivity`·v with v in V. All rows measured with this plan by
        `continual.measure_row` are together (ε, δ)-DP and ρ-zCDP, also if the data are chosen
        adaptively (docs/privacy/continual.md). The strategy depends on `days` and `presence`
        only, σ on the budget only; nothing here sees data.

    Args:
        days: 1 to 366.
        presence: the presence set V, to be enforced by `flippancy` unless unbounded.
        epsilon: of the whole period, > 0.
        delta: of the whole period, in (0, 1).
        sensitivity: the most that one user present on a day adds to its total, ≥ 1: 1 for exact
            sets, 1/p for hash samples at rate p.

    Raises:
        InvalidValueError: an argument is out of range.
    """
    if sensitivity < 1:
        raise InvalidValueError("sensitivity", sensitivity, "an integer, at least 1")
    chosen = design(days, presence)
    sensitivity_squared = sensitivity**2 * chosen.sensitivity_squared
    sigma = discrete_gaussian_sigma(sensitivity_squared, days, epsilon, delta)
    return Plan(
        days=days,
        presence=presence,
        sensitivity=sensitivity,
        strategy=chosen.rows,
        scale=chosen.scale,
        sensitivity_squared=sensitivity_squared,
        sigma=sigma,
        rho=sensitivity_squared / (2 * sigma**2),
        epsilon=epsilon,
        delta=delta,
        primal=chosen.primal,
        dual=chosen.dual,
        gap=chosen.primal / chosen.dual - 1,
        witness=chosen.witness,
    )


def _positive_integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidPlanError(f"{name} is {value!r:.80}; expected an integer, at least 1.")
    if value > _LARGEST_ENTRY**4:
        raise InvalidPlanError(f"{name} has {value.bit_length()} bits; no plan's is as large.")
    return value


def _finite(name: str, value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not abs(value) <= sys.float_info.max:
        raise InvalidPlanError(f"{name} is {value!r:.80}; expected a finite number.")
    return float(value)


def _triangular(value: Any, days: int) -> Rows:
    if not isinstance(value, list) or len(value) != days:
        raise InvalidPlanError(f"strategy: expected {days} rows, one a day.")
    for i, row in enumerate(value):
        if not isinstance(row, list) or len(row) != days:
            raise InvalidPlanError(f"strategy: row {i} does not have {days} entries.")
        if not all(isinstance(entry, int) and not isinstance(entry, bool) for entry in row):
            raise InvalidPlanError(f"strategy: row {i} has an entry that is no integer.")
        if any(abs(entry) > _LARGEST_ENTRY for entry in row):
            raise InvalidPlanError(f"strategy: row {i} has an entry beyond 2**53.")
        if any(row[i + 1 :]):
            raise InvalidPlanError(f"strategy: row {i} uses days that come after it.")
        if row[i] <= 0:
            raise InvalidPlanError(f"strategy: row {i} has {row[i]} on its own day; expected > 0.")
    return tuple(tuple(row) for row in value)
