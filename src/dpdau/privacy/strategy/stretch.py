"""A lower bound for long periods: a short period's witness, stretched.

Any distribution on V gives a valid bound, so nothing about this construction needs proof. That of
a short period, with every flip moved to the same share of the long one and spread over all
positions between, turns out to prove bounds within a few percent of what can be reached.
"""

import math

from dpdau.privacy.strategy.optimum import solve
from dpdau.privacy.strategy.patterns import Runs
from dpdau.privacy.strategy.presence import Presence
from dpdau.privacy.strategy.witness import Witness

__all__ = ["stretched_witness"]

_SHORT_DAYS = 16
_MOST_PATTERNS = 8000


def stretched_witness(days: int, presence: Presence) -> Witness:
    """A distribution on patterns of a long period.

    Args:
        days: more than 16.
        presence: any set with bounded runs.
    """
    short = solve(_SHORT_DAYS, presence.most_runs(_SHORT_DAYS)).witness
    factor = days / _SHORT_DAYS
    copies = math.ceil(factor)
    weights: dict[Runs, float] = {}
    for runs, weight in short.patterns:
        for copy in range(copies):
            shift = factor * ((copy + 0.5) / copies - 0.5)
            moved = tuple(
                (_place(start * factor + shift, days), _place(end * factor + shift, days))
                for start, end in runs
            )
            weights[moved] = weights.get(moved, 0.0) + weight
    heaviest = sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:_MOST_PATTERNS]
    total = sum(weight for _, weight in heaviest)
    return Witness(patterns=tuple((runs, weight / total) for runs, weight in heaviest))


def _place(position: float, days: int) -> int:
    return min(max(round(position), 0), days)
