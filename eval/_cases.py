"""What is evaluated: logs of activity, and ways to publish them at a given price."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import _activity
from _activity import Activity
from dpdau.bootstrap import build_planner
from dpdau.config import load_settings
from dpdau.errors import InvalidValueError
from dpdau.model.calendar import Period, PeriodKind
from dpdau.model.counting import MOST_PHANTOMS
from dpdau.model.releases import Mechanism, Metric, SketchKind
from dpdau.pipeline.planning import PlanRequest
from dpdau.privacy.intrinsic import IntrinsicMechanism
from dpdau.simulation import Population

__all__ = ["SIMULATED", "Case", "Source", "Way", "ways_to_publish"]

SIMULATED = "simulated"
_SIMULATION_END = date(2025, 10, 31)
_SIMULATION_DAYS = 92
_FEWEST, _MOST = 4, 16
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Source:
    """Where activity comes from; small, so that it travels to other processes.

    Attributes:
        name: `simulated`, `cdnow`, `flights`, or the path of a file of events.
        users: how many people a simulation has.
        p_active: how likely one of them is active on a day.
        delete_rate: the share of them that is erased.
        seed: of a simulation.
    """

    name: str
    users: int
    p_active: float
    delete_rate: float
    seed: int

    def activity(self) -> Activity:
        """The log; read once in a process."""
        return _loaded(self)

    def month(self) -> Period:
        """The last month that lies in the log whole, and by the choice of a simulation its last.

        Raises:
            InvalidValueError: if there is none.
        """
        activity = self.activity()
        after = activity.last_day + _ONE_DAY
        month = Period.containing(after.replace(day=1) - _ONE_DAY, PeriodKind.MONTH)
        if month.first < activity.first_day:
            expected = (
                f"a log that holds a whole month, not {activity.first_day} to {activity.last_day}"
            )
            raise InvalidValueError("events", self.name, expected)
        return month


@lru_cache(maxsize=4)
def _loaded(source: Source) -> Activity:
    if source.name != SIMULATED:
        return _activity.named(source.name)
    population = Population(
        users=source.users,
        p_active=source.p_active,
        delete_rate=source.delete_rate,
        days=_SIMULATION_DAYS,
        end=_SIMULATION_END,
        seed=source.seed,
    )
    return _activity.simulated(population)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to publish a month of daily values at one price.

    Attributes:
        sketch: how people are counted.
        mechanism: how it is made private.
        epsilon: what all values of one metric cost together, at the configured δ.
        settings: of the product, as pairs.
    """

    sketch: SketchKind
    mechanism: Mechanism
    epsilon: float
    settings: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One trial: a month of one log, published in one way."""

    source: Source
    way: Way
    metrics: tuple[Metric, ...]


def ways_to_publish(
    sketches: Sequence[SketchKind],
    mechanisms: Sequence[Mechanism],
    epsilons: Sequence[float],
    month: Period,
    users: int,
) -> Iterator[Way | str]:
    """Every way that there is, each at its best calibration; in place of others, why there is none.

    A continual series gets all of ε. Releases of single days get the largest ε of which as many as
    the month has days compose to it, by the accountant that enforces budgets. `hllpp` has a
    mechanism of its own and takes as many registers as err least for that many users.

    Args:
        sketches: what to count with.
        mechanisms: what to make private with; `hllpp` ignores them.
        epsilons: what the month may cost.
        month: which days.
        users: about how many are counted.
    """
    for sketch in sketches:
        own = [Mechanism.INTRINSIC] if sketch is SketchKind.HLLPP else mechanisms
        for mechanism in own:
            for epsilon in epsilons:
                yield _way(sketch, mechanism, epsilon, month, users)


def _way(
    sketch: SketchKind, mechanism: Mechanism, epsilon: float, month: Period, users: int
) -> Way | str:
    total: dict[str, Any] = {
        "sketch_impl": sketch,
        "mechanism_dau": mechanism,
        "mechanism_mau": mechanism,
        "dau_budget_total": epsilon,
        "mau_budget_total": epsilon,
        "series_share": 1.0,
        # Nothing is released outside of a series, so this is only what fits its budget.
        "epsilon_dau": epsilon,
        "epsilon_mau": epsilon,
    }
    if mechanism is not Mechanism.CONTINUAL:
        release = _release_epsilon(total, mechanism, month, users)
        if release is None:
            return (
                f"{sketch}, {mechanism}, ε = {epsilon:g}: no noise lets {month.days} releases cost "
                "that little, since each has a δ of its own"
            )
        total |= {"epsilon_dau": release, "epsilon_mau": release}
        if sketch is SketchKind.HLLPP:
            total["hll_log2_registers"] = _best_registers(release, users)
    return Way(sketch, mechanism, epsilon, tuple(total.items()))


def _release_epsilon(
    settings: dict[str, Any], mechanism: Mechanism, month: Period, users: int
) -> float | None:
    """The largest ε of one release at which the whole month is paid, if there is any."""
    at_start = datetime.combine(month.first, datetime.min.time(), UTC)
    # The price of HyperLogLog does not depend on its size.
    loaded = load_settings(**settings, hll_log2_registers=_FEWEST)
    planner = build_planner(loaded, clock=lambda: at_start)
    planned = planner.plan(PlanRequest(users=users, epsilon=settings["dau_budget_total"]))
    found = {each.mechanism: each.release_epsilon for each in planned.forecast.mechanisms}
    return found.get(mechanism)


def _best_registers(epsilon: float, users: int) -> int:
    """The size that errs least for that many users."""
    payable = [each for each in range(_FEWEST, _MOST + 1) if epsilon >= 2**each / MOST_PHANTOMS]
    return min(
        payable,
        key=lambda bits: IntrinsicMechanism(epsilon, bits).variance.at(users),
        default=_FEWEST,
    )
