"""Re-verify a plan from its content alone, without the code that designed it."""

import math

from dpdau.errors import DpdauError, InvalidPlanError
from dpdau.privacy.discrete_gaussian import discrete_gaussian_epsilon
from dpdau.privacy.strategy.factor import error_per_sensitivity
from dpdau.privacy.strategy.plan import Plan
from dpdau.privacy.strategy.sensitivity import certified_sensitivity

__all__ = ["check_plan"]

_RELATIVE = 1e-9
"""How far recomputed floats may differ, across processors and libraries."""

_EPSILON_RELATIVE = 1e-6

_LEAST_SIGMA = 1e-60
"""Outside of this and its inverse, ρ is no float."""

_ROUNDING = 0.01
"""How far rounding the entries may move the sensitivity squared from the scale's square."""


def check_plan(plan: Plan) -> None:
    """Recompute everything that a plan claims.

    The sensitivity is certified anew on the integer rows (`sensitivity`), the price follows from
    it and σ, the primal from the rows, the dual from the witness after checking that it is a
    distribution on the presence set. Takes a second or so where patterns are enumerated.

    Raises:
        InvalidPlanError: a claim does not hold; the message says which.
    """
    certified, _ = certified_sensitivity(plan.strategy, plan.presence)
    charged = plan.sensitivity**2 * certified
    if plan.sensitivity_squared != charged:
        message = f"sensitivity_squared is {plan.sensitivity_squared}; the strategy's is {charged}."
        raise InvalidPlanError(message)
    if abs(certified / plan.scale**2 - 1) > _ROUNDING:
        raise InvalidPlanError(f"scale is {plan.scale}; the strategy's is {math.isqrt(certified)}.")
    _check_price(plan)
    plan.witness.require_within(plan.days, plan.presence)
    _require("primal", plan.primal, error_per_sensitivity(plan.strategy, certified))
    _require("dual", plan.dual, plan.witness.bound(plan.days))
    if plan.dual <= 0:
        raise InvalidPlanError("dual is 0: the witness has no active days.")
    if abs(plan.gap - (plan.primal / plan.dual - 1)) > _RELATIVE:
        raise InvalidPlanError(f"gap is {plan.gap!r}; expected {plan.primal / plan.dual - 1!r}.")


def _check_price(plan: Plan) -> None:
    """ρ and ε follow from the sensitivity and σ, and σ is not larger than ε needs."""
    if not _LEAST_SIGMA <= plan.sigma <= 1 / _LEAST_SIGMA:
        message = f"sigma is {plan.sigma!r}; expected {_LEAST_SIGMA:g} to {1 / _LEAST_SIGMA:g}."
        raise InvalidPlanError(message)
    _require("rho", plan.rho, plan.sensitivity_squared / (2 * plan.sigma**2))
    try:
        epsilon = discrete_gaussian_epsilon(
            plan.sensitivity_squared, plan.sigma, plan.days, plan.delta
        )
    except DpdauError as error:
        raise InvalidPlanError(f"The price cannot be computed: {error.message}") from None
    if epsilon > plan.epsilon * (1 + _RELATIVE):
        message = f"epsilon is {plan.epsilon!r}; sigma and delta give {epsilon!r}."
        raise InvalidPlanError(message)
    if epsilon < plan.epsilon * (1 - _EPSILON_RELATIVE):
        message = f"sigma is larger than epsilon needs: it gives {epsilon!r}, not {plan.epsilon!r}."
        raise InvalidPlanError(message)


def _require(name: str, stated: float, recomputed: float) -> None:
    if not math.isclose(stated, recomputed, rel_tol=_RELATIVE):
        raise InvalidPlanError(f"{name} is {stated!r}; recomputed, it is {recomputed!r}.")
