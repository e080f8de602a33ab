"""The dual witness: a distribution over presence patterns that proves how good a plan can be."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dpdau.errors import InvalidPlanError
from dpdau.privacy.strategy.patterns import Runs, flips_of, vector
from dpdau.privacy.strategy.presence import Presence

__all__ = ["Witness", "root_trace"]

_WEIGHTS_SUM_TO_ONE_WITHIN = 1e-9


@dataclass(frozen=True, slots=True)
class Witness:
    """A distribution λ on V, from which anyone can recompute the lower bound on the error.

    Attributes:
        patterns: (runs, weight) of single patterns.
        active_days: (k, weight), that weight spread evenly over all patterns with k active days.
            Only where presence is unbounded.
    """

    patterns: tuple[tuple[Runs, float], ...] = ()
    active_days: tuple[tuple[int, float], ...] = ()

    def second_moment(self, days: int) -> NDArray[np.float64]:
        """M_λ = Σ λ_v v vᵀ, shape (days, days).

        A random pattern with k of T days active has M[i, i] = k/T and
        M[i, j] = k(k − 1)/(T(T − 1)).
        """
        moment = np.zeros((days, days))
        if self.patterns:
            vectors = np.array([vector(runs, days) for runs, _ in self.patterns])
            weights = np.array([weight for _, weight in self.patterns])
            moment += (vectors.T * weights) @ vectors
        for active, weight in self.active_days:
            single = active / days
            pair = single * (active - 1) / (days - 1) if days > 1 else 0.0
            moment += weight * (pair + (single - pair) * np.eye(days))
        return moment

    def bound(self, days: int) -> float:
        """The lower bound (tr √M_λ)/√T on any plan's root-mean-square error per σ.

        Formal guarantees:
            Weak duality, for every λ on V: see the README of this package.
        """
        return root_trace(self.second_moment(days)) / float(np.sqrt(days))

    def require_within(self, days: int, presence: Presence) -> None:
        """Check that λ is a distribution on the presence set.

        Raises:
            InvalidPlanError: it is not.
        """
        weights = [weight for _, weight in (*self.patterns, *self.active_days)]
        if not all(weight >= 0 for weight in weights):
            raise InvalidPlanError("witness: a weight is negative.")
        if not abs(sum(weights) - 1) <= _WEIGHTS_SUM_TO_ONE_WITHIN:
            raise InvalidPlanError(f"witness: the weights sum to {sum(weights)!r}, not to 1.")
        for runs, _ in self.patterns:
            flips = flips_of(runs)
            increasing = all(a < b for a, b in pairwise(flips))
            if not increasing or (flips and (flips[0] < 0 or flips[-1] > days)):
                message = f"witness: {list(runs)!r:.80} are no separate runs of days 0 to {days}."
                raise InvalidPlanError(message)
            if len(runs) > presence.most_runs(days):
                message = (
                    f"witness: a pattern has {len(runs)} runs; the presence set allows "
                    f"{presence.most_runs(days)}."
                )
                raise InvalidPlanError(message)
        if self.active_days and not presence.is_everything(days):
            raise InvalidPlanError("witness: active_days needs unbounded presence.")
        if not all(0 <= active <= days for active, _ in self.active_days):
            raise InvalidPlanError(f"witness: active_days lie outside 0 to {days}.")

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "patterns": [
                {"runs": [list(run) for run in runs], "weight": weight}
                for runs, weight in self.patterns
            ],
            "active_days": [
                {"active_days": active, "weight": weight} for active, weight in self.active_days
            ],
        }

    @classmethod
    def from_dict(cls, data: Any) -> Self:
        """Read what `to_dict` wrote.

        Raises:
            InvalidPlanError: the values have another shape.
        """
        try:
            return cls(
                tuple((_runs(item["runs"]), _weight(item)) for item in data["patterns"]),
                tuple(
                    (_integer(item["active_days"]), _weight(item)) for item in data["active_days"]
                ),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            message = (
                "witness: expected patterns [{runs: [[start, end], …], weight}, …] and "
                f"active_days [{{active_days, weight}}, …] ({type(error).__name__}: {error})."
            )
            raise InvalidPlanError(message) from None


def root_trace(moment: NDArray[np.float64]) -> float:
    """The trace of √M for a positive semidefinite matrix."""
    return float(np.sqrt(np.clip(np.linalg.eigvalsh(moment), 0, None)).sum())


def _runs(value: Any) -> Runs:
    return tuple((_integer(start), _integer(end)) for start, end in value)


def _weight(item: Mapping[str, Any]) -> float:
    weight = item["weight"]
    if isinstance(weight, bool) or not isinstance(weight, int | float):
        raise TypeError("a weight is no number")
    return float(weight)


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no integer")
    return value
