"""On-demand releases: one noisy answer, paid for by itself.

Formal guarantees:
    Unit: one user. Neighbours: add or remove one user's whole stream. A release is the discrete
    Laplace or Gaussian mechanism on a count of the declared sensitivity, or an estimate that is
    private by itself, hence (ε, δ)-DP by the mechanism's own theorem (`privacy.laplace`,
    `privacy.gaussian`, `privacy.intrinsic`). Which releases happen
    depends on what readers ask, on the calendar and on the ledger, never on the activity; so
    the releases of a period compose adaptively to what the accountant states. The row that
    records value and charge is durable before the value is returned.
"""

import math
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import TypeAlias

from pyroaring import BitMap

from dpdau.model.calendar import Calendar
from dpdau.model.counting import Counting, CountVariance
from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Mechanism, Release, ReleaseKey
from dpdau.model.sources import ActivitySource
from dpdau.pipeline.budget import Budget
from dpdau.pipeline.count import intrinsic_estimate, present_users, sketch_of
from dpdau.pipeline.guard import LedgerGuard
from dpdau.pipeline.ledger import append_release, latest_release
from dpdau.pipeline.ports import Reader, Transaction
from dpdau.pipeline.recovery import Closures
from dpdau.pipeline.rules import MetricRules
from dpdau.pipeline.source import require_source
from dpdau.privacy.charges import Charge
from dpdau.privacy.gaussian import GaussianMechanism
from dpdau.privacy.intervals import interval
from dpdau.privacy.intrinsic import IntrinsicMechanism
from dpdau.privacy.laplace import LaplaceMechanism

__all__ = ["Kept", "OnDemandReleaser"]

_Mechanism: TypeAlias = LaplaceMechanism | GaussianMechanism | IntrinsicMechanism

_NOT_HERE = "only the days of a series have values, and there are no revisions"
_NAMES = {
    LaplaceMechanism: Mechanism.LAPLACE,
    GaussianMechanism: Mechanism.GAUSSIAN,
    IntrinsicMechanism: Mechanism.INTRINSIC,
}


@dataclass(frozen=True, slots=True)
class Kept:
    """The share of a budget that belongs to a series, whether or not it has begun.

    Otherwise whoever asks first could leave a month without its daily values.

    Attributes:
        series_id: the series.
        charge: what it costs.
    """

    series_id: str
    charge: Charge

    def charge_in(self, reader: Reader) -> Charge | None:
        """What is to be kept; None once the series has paid."""
        is_open = reader.ledger_row(LedgerKind.SERIES, self.series_id) is not None
        return None if is_open else self.charge


class OnDemandReleaser:
    """Answers single questions with per-release noise, each at most once."""

    def __init__(self, guard: LedgerGuard, calendar: Calendar, budget: Budget) -> None:
        self._guard = guard
        self._calendar = calendar
        self._budget = budget

    def release(
        self, rules: MetricRules, day: date, window_days: int, kept: Kept | None = None
    ) -> Release:
        """The answer for a closed day: the recorded one, or a new one that is paid for.

        Args:
            rules: of the metric.
            day: the last day of the window.
            window_days: the trailing days counted.
            kept: what the budget has to have room for afterwards.

        Raises:
            BudgetExhaustedError: if the period's budget does not allow it; nothing is spent.
        """
        key = ReleaseKey(rules.metric, window_days, day)
        with self._guard.write() as transaction:
            recorded = latest_release(transaction, key)
            return recorded or self._measure(transaction, rules, key, kept)

    def revise(self, rules: MetricRules, day: date, window_days: int, kept: Kept | None) -> Release:
        """Measure a released day again on what is known now, as its next revision.

        Takes what `release` takes.

        Raises:
            BudgetExhaustedError: if the period's budget does not allow it; nothing is spent.
        """
        key = ReleaseKey(rules.metric, window_days, day)
        with self._guard.write() as transaction:
            recorded = latest_release(transaction, key)
            revision = 0 if recorded is None else recorded.revision + 1
            return self._measure(
                transaction, rules, ReleaseKey(rules.metric, window_days, day, revision), kept
            )

    def _measure(
        self, transaction: Transaction, rules: MetricRules, key: ReleaseKey, kept: Kept | None
    ) -> Release:
        """Authorise, draw the noise and record the row, all in the open transaction."""
        require_source(transaction, ActivitySource.STORE, _NOT_HERE)
        present = present_users(transaction, key.day, key.window_days)
        period = self._calendar.period_of(key.day)
        Closures.of(transaction, key.metric).require_open(key.day, period)
        mechanism = _calibrated(rules)
        cap = self._budget.require(
            transaction,
            key.metric,
            period,
            mechanism.charge,
            None if kept is None else kept.charge_in(transaction),
        )

        measured = _measured(rules.counting, mechanism, present)
        noisy = measured.value
        bounds = interval(noisy, measured.half_width, measured.variance)
        release = Release(
            release_id=key.release_id,
            metric=key.metric,
            window_days=key.window_days,
            day=key.day,
            revision=key.revision,
            period=period.name,
            estimate=max(noisy, 0),
            estimate_raw=float(noisy),
            std_error=math.hypot(measured.std_error, math.sqrt(measured.variance.at(noisy))),
            lower_95=bounds.lower,
            upper_95=bounds.upper,
            epsilon=mechanism.epsilon,
            delta=mechanism.delta,
            mechanism=_NAMES[type(mechanism)],
            sketch=rules.counting.kind,
            sensitivity=measured.sensitivity,
            log2_registers=rules.counting.log2_registers or None,
            charge=mechanism.charge.to_dict(),
            measurement=noisy,
            released_at=self._calendar.now(),
            epsilon_cap=cap,
        )
        append_release(transaction, release)
        return release


@dataclass(frozen=True, slots=True)
class _Measured:
    """A private count and its errors.

    Attributes:
        value: the count with its noise.
        sensitivity: of the count before noise; None if there is no such bound.
        std_error: of the noise that was added.
        half_width: of that noise's 95 % interval.
        variance: of the sketch.
    """

    value: int
    sensitivity: int | None
    std_error: float
    half_width: int
    variance: CountVariance


def _measured(counting: Counting, mechanism: _Mechanism, users: BitMap) -> _Measured:
    if isinstance(mechanism, IntrinsicMechanism):
        value = intrinsic_estimate(mechanism, users)
        return _Measured(value, None, 0.0, 0, mechanism.variance)
    sketch = sketch_of(counting, users)
    return _Measured(
        mechanism.measure(sketch.estimate()),
        sketch.sensitivity,
        mechanism.std_error,
        mechanism.half_width(),
        sketch.variance,
    )


@lru_cache(maxsize=32)
def _calibrated(rules: MetricRules) -> _Mechanism:
    """The mechanism of one on-demand release; Gaussian beside a continual series.

    Gaussian charges add up with the series' own far more cheaply than Laplace's would.
    """
    sensitivity = 2**rules.counting.exponent
    if rules.mechanism is Mechanism.INTRINSIC:
        return IntrinsicMechanism(rules.epsilon, rules.counting.log2_registers)
    if rules.mechanism is Mechanism.LAPLACE:
        return LaplaceMechanism.calibrate(rules.epsilon, sensitivity)
    return GaussianMechanism.calibrate(rules.epsilon, rules.delta, sensitivity)
