"""Games for one hidden bit: does the target exist? And what the guarantee allows at most."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

import _tools  # noqa: F401 - finds the next one
from _pipeline import product
from dpdau.application import Application
from dpdau.model.calendar import Period
from dpdau.model.events import EventColumns
from dpdau.model.releases import Metric, Release
from dpdau.privacy.strategy import Plan
from replay import Clock

__all__ = [
    "Arena",
    "Score",
    "allowed_by_budget",
    "allowed_by_plan",
    "direction",
    "projected",
]

_FIRST_DAY = date(2025, 2, 1)

# What an attacker makes of all they saw; above 0 they say that the target exists.
Score = float


class Arena:
    """A product with a clock, in which a month goes by."""

    def __init__(self, **settings: Any) -> None:
        """Open it on the first day of a month of 28 days."""
        self.clock = Clock(datetime(_FIRST_DAY.year, _FIRST_DAY.month, _FIRST_DAY.day, tzinfo=UTC))
        self.application: Application = product(self.clock, settings)
        self.period: Period = self.application.calendar.period_of(_FIRST_DAY)

    def day(self, index: int) -> date:
        """A day of the month, counted from 0."""
        return date.fromordinal(self.period.first.toordinal() + index)

    def tell(self, names: Iterable[str], index: int, *, add: bool = True) -> None:
        """Events of one day."""
        self._send(names, index, add=add, whole_user=False)

    def erase(self, names: Iterable[str], index: int) -> None:
        """Erase whole people, by events of that day."""
        self._send(names, index, add=False, whole_user=True)

    def close(self, index: int) -> None:
        """Let a day close, so that it can be asked for."""
        self.clock.now = self.application.calendar.closes_at(self.day(index))

    def release(self, metric: Metric, index: int, window_days: int | None = None) -> Release:
        """Ask for a day."""
        return self.application.publisher.release(metric, self.day(index), window_days)

    def plan(self, metric: Metric) -> Plan:
        """What the month's series was promised with."""
        return self.application.publisher.plan(metric, self.period.first)

    def _send(self, names: Iterable[str], index: int, *, add: bool, whole_user: bool) -> None:
        names = list(names)
        events = EventColumns(
            user_ids=names,
            days=np.full(len(names), self.day(index).toordinal(), dtype=np.int32),
            adds=np.full(len(names), add),
            whole_user=np.full(len(names), whole_user),
        )
        ingestor = self.application.ingestor
        ingestor.apply(ingestor.pseudonymize(events))


def direction(plan: Plan, presence: Sequence[float]) -> tuple[NDArray[np.float64], float]:
    """Where a presence moves the measurements, as a unit vector, and how far in units of σ."""
    moved = plan.sensitivity * np.array(plan.strategy, dtype=float) @ np.array(presence)
    length = float(np.linalg.norm(moved))
    return moved / length, length / plan.sigma


def projected(
    releases: Sequence[Release], plan: Plan, presence: Sequence[float], known: Sequence[float]
) -> Score:
    """The likelihood ratio's test between others alone and others with a target.

    Args:
        releases: the month's values, in the order of their days.
        plan: of the series, which is public.
        presence: the target's, day by day.
        known: how many others there are, day by day, all of which the attacker knows.
    """
    unit, far = direction(plan, presence)
    measured = np.array([release.measurement for release in releases], dtype=float)
    measured -= np.array(plan.strategy, dtype=float) @ np.array(known, dtype=float)
    return float(unit @ measured) / plan.sigma - far / 2


def allowed_by_plan(plan: Plan, group: int = 1) -> float:
    """How often anyone can be right about a group of people, from the values of one series.

    The series is µ-Gaussian-DP with µ = sensitivity/σ but for its discretisation, which the plan's ε
    pays for; of two equally likely worlds the best test is right with probability Φ(µ/2) (Dong, Roth
    & Su 2022), and a group of g is g·µ apart.
    """
    return float(ndtr(group * math.sqrt(plan.sensitivity_squared) / plan.sigma / 2))


def allowed_by_budget(application: Application, metric: Metric, day: date) -> float:
    """How often anyone can be right, from all that was published: (e^ε + δ)/(1 + e^ε)."""
    budget = application.budget_of(metric, day)
    likely = math.exp(budget.epsilon_spent)
    return (likely + application.budget.rules.delta) / (1 + likely)
