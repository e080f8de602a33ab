"""The person whom an auditor looks for: months of the real product with and without them.

The product counts nobody else, which an auditor may know; all of the noise is then between the
auditor and the canary. Where presence is bounded the canary takes events back, so that the product
sees them present on just the days that matter most.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import count
from typing import Any
from unittest.mock import patch

import numpy as np

import _tools  # noqa: F401 - finds the next one
from _pipeline import product
from dpdau.application import Application
from dpdau.hashing import Sampler
from dpdau.model.calendar import Period
from dpdau.model.events import EventColumns
from dpdau.model.releases import Mechanism, Metric, Release
from dpdau.privacy import continual, gaussian, laplace
from dpdau.privacy.strategy import Plan
from dpdau.privacy.strategy.patterns import vector
from replay import Clock

__all__ = ["Month", "Played", "play", "worst_presence"]

_FIRST_DAY = date(2025, 2, 1)
_NOISE = (continual, gaussian, laplace)


@dataclass(frozen=True, slots=True)
class Month:
    """One month of one metric, with or without the canary.

    Attributes:
        metric: what is published.
        settings: of the product, as pairs.
        is_present: whether the canary exists.
        noise_scale: what all noise is multiplied with behind the product's back; 1 is honest.
    """

    metric: Metric
    settings: tuple[tuple[str, Any], ...]
    is_present: bool
    noise_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Played:
    """What a reader sees of a month.

    Attributes:
        releases: its values, in the order of their days.
        presence: T zeros and ones, the days on which a canary would be present.
        plan: of a continual series, else None.
        epsilon: what the ledger says that the month has cost.
    """

    releases: tuple[Release, ...]
    presence: tuple[int, ...]
    plan: Plan | None
    epsilon: float


def play(month: Month) -> Played:
    """Let the real product publish a month."""
    clock = Clock(datetime(_FIRST_DAY.year, _FIRST_DAY.month, _FIRST_DAY.day, tzinfo=UTC))
    with _scaled_noise(month.noise_scale), product(clock, dict(month.settings)) as application:
        period = application.calendar.period_of(_FIRST_DAY)
        mechanism = dict(month.settings).get(f"mechanism_{month.metric}", Mechanism.CONTINUAL)
        is_series = mechanism is Mechanism.CONTINUAL
        plan = application.publisher.plan(month.metric, period.first) if is_series else None
        presence = (1,) * period.days if plan is None else worst_presence(plan)
        releases = []
        canary = _counted_name(application)
        for offset, events in enumerate(_events(presence, month.metric, period)):
            day = period.first + timedelta(days=offset)
            clock.now = application.calendar.closes_at(day)
            if month.is_present:
                for told, add in events:
                    _tell(application, canary, told, add=add)
            releases.append(application.publisher.release(month.metric, day))
        spent = application.budget_of(month.metric, period.first).epsilon_spent
    return Played(tuple(releases), presence, plan, spent)


@lru_cache(maxsize=8)
def worst_presence(plan: Plan) -> tuple[int, ...]:
    """The presence v on which the plan's price stands, or nearly so: ‖C·v‖ is largest.

    The witness of the plan's certificate gives weight to the patterns that cost most. Of those with
    k active days it makes no difference which days are active, up to rounding of C.
    """
    strategy = np.array(plan.strategy, dtype=float)
    candidates = [np.array(vector(runs, plan.days)) for runs, _ in plan.witness.patterns]
    if plan.presence.runs is None:
        prefixes = np.tri(plan.days, dtype=int)
        candidates += list(prefixes)
    worst = max(candidates, key=lambda found: float(np.linalg.norm(strategy @ found)))
    return tuple(int(each) for each in worst)


def _events(
    presence: tuple[int, ...], metric: Metric, period: Period
) -> Iterator[list[tuple[date, bool]]]:
    """What the canary sends before each day closes: (the day told of, whether active on it)."""
    begun: date | None = None
    for offset, is_present in enumerate(presence):
        day = period.first + timedelta(days=offset)
        events = []
        if is_present and (begun is None or metric is Metric.DAU):
            events.append((day, True))
            begun = day
        elif not is_present and begun is not None:
            # Whoever is never active is in no window: a run of presence ends by taking back.
            if metric is Metric.MAU:
                events.append((begun, False))
            begun = None
        yield events


def _counted_name(application: Application) -> str:
    """A name that the product counts: where only a sample is kept, one that is in it."""
    with application.store.read() as reader:
        kept = reader.meta("sample")
    names = (f"canary {number}" for number in count())
    if not application.sampling_exponent or kept is None:
        return next(names)
    sampler = Sampler.parse(kept)
    return next(name for name in names if sampler.sampled([name])[0])


def _tell(application: Application, canary: str, day: date, *, add: bool) -> None:
    events = EventColumns(
        user_ids=[canary],
        days=np.array([day.toordinal()], dtype=np.int32),
        adds=np.array([add]),
        whole_user=np.array([False]),
    )
    application.ingestor.apply(application.ingestor.pseudonymize(events))


@contextmanager
def _scaled_noise(scale: float) -> Iterator[None]:
    """Multiply the parameter of all noise, while everything that is claimed stays as it is."""
    with ExitStack() as stack:
        for module in _NOISE if scale != 1 else ():
            honest = module._measurement  # noqa: SLF001 - behind the product's back
            forged = _with_scale(honest, scale)
            stack.enter_context(patch.object(module, "_measurement", forged))
        yield


def _with_scale(honest: Callable[[float], Any], scale: float) -> Callable[[float], Any]:
    return lambda parameter: honest(scale * parameter)
