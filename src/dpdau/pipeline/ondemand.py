"""On-demand releases: one noisy answer, paid for by itself.

Formal guarantees:
    Unit: one user. Neighbours: add or remove one user's whole stream. A release is the discrete
    Laplace or Gaussian mechanism on a count of the declared sensitivity, hence (ε, δ)-DP by the
    mechanism's own theorem (`privacy.laplace`, `privacy.gaussian`). Which releases happen
    depends on what readers ask, on the calendar and on the ledger, never on the activity; so
    the releases of a period compose adaptively to what the accountant states. The row that
    records value and charge is durable before the value is returned.
"""

from datetime import date
from functools import lru_cache

from dpdau.model.calendar import Calendar
from dpdau.model.releases import Mechanism, Release, ReleaseKey
from dpdau.pipeline.budget import Budget
from dpdau.pipeline.count import present_users, sketch_of
from dpdau.pipeline.guard import LedgerGuard
from dpdau.pipeline.ledger import append_release, latest_release
from dpdau.pipeline.ports import Transaction
from dpdau.pipeline.recovery import Closures
from dpdau.pipeline.rules import MetricRules
from dpdau.privacy.gaussian import GaussianMechanism
from dpdau.privacy.intervals import interval
from dpdau.privacy.laplace import LaplaceMechanism

__all__ = ["OnDemandReleaser"]


class OnDemandReleaser:
    """Answers single questions with per-release noise, each at most once."""

    def __init__(self, guard: LedgerGuard, calendar: Calendar, budget: Budget) -> None:
        self._guard = guard
        self._calendar = calendar
        self._budget = budget

    def release(self, rules: MetricRules, day: date, window_days: int) -> Release:
        """The answer for a closed day: the recorded one, or a new one that is paid for.

        Raises:
            BudgetExhaustedError: if the period's budget does not allow it; nothing is spent.
        """
        key = ReleaseKey(rules.metric, window_days, day)
        with self._guard.write() as transaction:
            recorded = latest_release(transaction, key)
            return recorded or self._measure(transaction, rules, key)

    def revise(self, rules: MetricRules, day: date, window_days: int) -> Release:
        """Measure a released day again on what is known now, as its next revision.

        Raises:
            BudgetExhaustedError: if the period's budget does not allow it; nothing is spent.
        """
        key = ReleaseKey(rules.metric, window_days, day)
        with self._guard.write() as transaction:
            recorded = latest_release(transaction, key)
            revision = 0 if recorded is None else recorded.revision + 1
            return self._measure(
                transaction, rules, ReleaseKey(rules.metric, window_days, day, revision)
            )

    def _measure(self, transaction: Transaction, rules: MetricRules, key: ReleaseKey) -> Release:
        """Authorise, draw the noise and record the row, all in the open transaction."""
        present = present_users(transaction, key.day, key.window_days)
        sketch = sketch_of(rules.sketch, present)
        mechanism = _calibrated(rules, sketch.sensitivity)
        period = self._calendar.period_of(key.day)
        Closures.of(transaction, key.metric).require_open(key.day, period)
        cap = self._budget.require(transaction, key.metric, period, mechanism.charge)

        noisy = mechanism.measure(sketch.estimate())
        bounds = interval(noisy, mechanism.half_width(), sketch.relative_standard_error)
        release = Release(
            release_id=key.release_id,
            metric=key.metric,
            window_days=key.window_days,
            day=key.day,
            revision=key.revision,
            period=period.name,
            estimate=max(noisy, 0),
            estimate_raw=float(noisy),
            std_error=mechanism.std_error,
            lower_95=bounds.lower,
            upper_95=bounds.upper,
            epsilon=mechanism.epsilon,
            delta=mechanism.delta,
            mechanism=(
                Mechanism.LAPLACE if isinstance(mechanism, LaplaceMechanism) else Mechanism.GAUSSIAN
            ),
            sketch=rules.sketch,
            sensitivity=sketch.sensitivity,
            charge=mechanism.charge.to_dict(),
            measurement=noisy,
            released_at=self._calendar.now(),
            epsilon_cap=cap,
        )
        append_release(transaction, release)
        return release


@lru_cache(maxsize=32)
def _calibrated(rules: MetricRules, sensitivity: int) -> LaplaceMechanism | GaussianMechanism:
    """The mechanism of one on-demand release; Gaussian beside a continual series.

    Gaussian charges add up with the series' own far more cheaply than Laplace's would.
    """
    if rules.mechanism is Mechanism.LAPLACE:
        return LaplaceMechanism.calibrate(rules.epsilon, sensitivity)
    return GaussianMechanism.calibrate(rules.epsilon, rules.delta, sensitivity)
