"""From a number of days and a presence set to the strategy that will be measured."""

import math
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock

from threadpoolctl import threadpool_limits

from dpdau.errors import InvalidValueError
from dpdau.privacy.strategy.factor import (
    SCALE,
    error_per_sensitivity,
    reversed_cholesky,
    rounded,
)
from dpdau.privacy.strategy.flat import FLAT_SCALE, flat_rows, flat_witness
from dpdau.privacy.strategy.optimum import solve
from dpdau.privacy.strategy.presence import Presence
from dpdau.privacy.strategy.sensitivity import (
    Rows,
    can_enumerate,
    certified_sensitivity,
)
from dpdau.privacy.strategy.square_root import square_root_rows
from dpdau.privacy.strategy.stretch import stretched_witness
from dpdau.privacy.strategy.witness import Witness

__all__ = ["MOST_DAYS", "Design", "design"]

MOST_DAYS = 366
"""The longest period: a leap year."""


# A design may take seconds: threads that ask for the same one at once wait for the first.
_DESIGNING = Lock()


@dataclass(frozen=True, slots=True)
class Design:
    """A strategy for unit sensitivity, before any noise is chosen.

    Attributes:
        rows: the integer lower-triangular C.
        scale: C divided by it is the real design, of sensitivity one up to rounding.
        sensitivity_squared: the certified max over V of ‖Cv‖².
        witness: a distribution on V.
        primal: root-mean-square standard error over the days per unit sensitivity and σ.
        dual: no strategy's is lower than this.
    """

    rows: Rows
    scale: int
    sensitivity_squared: int
    witness: Witness
    primal: float
    dual: float


def design(days: int, presence: Presence) -> Design:
    """The least noisy strategy that can be certified; deterministic, and remembered.

    The optimum in closed form for unbounded presence; the optimum within 0.1 % if the patterns
    can be enumerated; else the better of the two certified strategies for long periods, whose gap
    then is what it is.

    Args:
        days: 1 to 366.
        presence: the presence set V.

    Raises:
        InvalidValueError: days out of range.
    """
    if not 1 <= days <= MOST_DAYS:
        raise InvalidValueError("days", days, f"1 to {MOST_DAYS}")
    with _DESIGNING:
        return _designed(days, presence)


@lru_cache(maxsize=32)
def _designed(days: int, presence: Presence) -> Design:
    if presence.is_everything(days):
        return _finished(flat_rows(days), FLAT_SCALE, presence, flat_witness(days))
    if can_enumerate(days, presence):
        # More threads of linear algebra do not help at this size, and fight for a busy machine.
        with threadpool_limits(1, "blas"):
            optimum = solve(days, presence.most_runs(days))
        rows = rounded(reversed_cholesky(optimum.gram))
        return _finished(rows, SCALE, presence, optimum.witness)
    witness = stretched_witness(days, presence)
    return min(
        _finished(flat_rows(days), FLAT_SCALE, presence, witness),
        _finished(square_root_rows(days), None, presence, witness),
        key=lambda candidate: candidate.primal,
    )


def _finished(rows: Rows, scale: int | None, presence: Presence, witness: Witness) -> Design:
    sensitivity_squared, _ = certified_sensitivity(rows, presence)
    return Design(
        rows=rows,
        scale=scale or math.isqrt(sensitivity_squared),
        sensitivity_squared=sensitivity_squared,
        witness=witness,
        primal=error_per_sensitivity(rows, sensitivity_squared),
        dual=witness.bound(len(rows)),
    )
