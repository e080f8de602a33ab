"""What each row of the ledger must say, recomputed from the row and those before it.

Nothing here is shared with the code that writes rows: estimates are checked by putting them back
into the plan's equations, errors by inverting its matrix anew, prices by the charges' own curves.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from statistics import NormalDist
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dpdau.errors import DpdauError, LedgerDamagedError
from dpdau.model.calendar import Period
from dpdau.model.counting import CountVariance
from dpdau.model.ledger import LedgerKind, LedgerRow
from dpdau.model.releases import (
    Mechanism,
    Metric,
    Release,
    ReleaseKey,
    SeriesKey,
    SketchKind,
)
from dpdau.pipeline.recovery import Acknowledgement
from dpdau.privacy import discrete_gaussian
from dpdau.privacy.charges import (
    Charge,
    GaussianCharge,
    LaplaceCharge,
    PureCharge,
    charge_from_dict,
)
from dpdau.privacy.intervals import interval
from dpdau.privacy.intrinsic import IntrinsicMechanism
from dpdau.privacy.laplace import LaplaceMechanism
from dpdau.privacy.strategy import Plan, check_plan

__all__ = ["AuditedSeries", "Auditor"]

_RELATIVE = 1e-6
_ABSOLUTE = 1e-6
_RESIDUAL = 2.0**-40
_COVERAGE = 0.95


class _CapBody(msgspec.Struct, forbid_unknown_fields=True):
    epsilon_cap: float
    former_cap: float
    who: str
    why: str


@dataclass
class AuditedSeries:
    """A series as its rows so far tell it.

    Attributes:
        sequence: of the row that opened it.
        key: which series.
        period: its days.
        plan: what it measures.
        values: the unrounded estimates so far, in day order.
    """

    sequence: int
    key: SeriesKey
    period: Period
    plan: Plan
    values: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        inverse = np.linalg.inv(np.array(self.plan.strategy, dtype=np.float64))
        self.euclidean: NDArray[np.float64] = np.linalg.norm(inverse, axis=1)
        self.absolute: NDArray[np.float64] = np.abs(inverse).sum(axis=1)


class Auditor:
    """Takes a ledger's rows in order; each must agree with itself and with those before it."""

    def __init__(self) -> None:
        self.series: dict[str, AuditedSeries] = {}
        self._caps: dict[tuple[Metric, str], float] = {}
        self._released: set[ReleaseKey] = set()
        self._subjects: set[tuple[LedgerKind, str]] = set()
        self._certified: set[str] = set()
        self._ended: set[str] = set()
        self._closed: dict[Metric, date] = {}

    def check(self, row: LedgerRow) -> None:
        """Take the next row.

        Raises:
            LedgerDamagedError: saying what in it is wrong.
        """
        unique = (row.kind, row.subject) not in self._subjects
        _require(row, unique, f"the {row.kind} {row.subject} is recorded a second time")
        self._subjects.add((row.kind, row.subject))
        checks: dict[LedgerKind, Callable[[LedgerRow], None]] = {
            LedgerKind.RELEASE: self._release,
            LedgerKind.SERIES: self._series,
            LedgerKind.CAP: self._cap,
            LedgerKind.ACKNOWLEDGEMENT: self._acknowledgement,
            LedgerKind.RECHARGE: self._recharge,
        }
        try:
            checks[row.kind](row)
        except LedgerDamagedError:
            raise
        except DpdauError as error:
            raise LedgerDamagedError(row.sequence, error.message.rstrip(".")) from None
        except (KeyError, TypeError, ValueError, ArithmeticError) as error:
            raise LedgerDamagedError(row.sequence, f"its body is no {row.kind}: {error}") from None

    def _acknowledgement(self, row: LedgerRow) -> None:
        body = msgspec.convert(row.body, Acknowledgement)
        _require(row, row.charge is None, "an acknowledgement has no price")
        _require(row, bool(body.who and body.why), "nobody or no reason is named")
        self._ended.update(each.series_id for each in body.ended_series)
        if body.closed_through is not None:
            former = self._closed.get(row.metric, body.closed_through)
            self._closed[row.metric] = max(former, body.closed_through)

    def _recharge(self, row: LedgerRow) -> None:
        Period.named(row.period)
        charge_from_dict(row.charge or {})
        acknowledged = any(kind is LedgerKind.ACKNOWLEDGEMENT for kind, _ in self._subjects)
        _require(row, acknowledged and not row.body, "no acknowledgement stands before it")

    def is_over(self, series_id: str, metric: Metric, period: Period) -> bool:
        """Whether nothing more may be published of a series, or of any in its period."""
        through = self._closed.get(metric)
        return series_id in self._ended or (through is not None and period.first <= through)

    def _open(self, row: LedgerRow, period: Period, series_id: str = "") -> None:
        over = self.is_over(series_id, row.metric, period)
        _require(row, not over, "it was published after an acknowledgement had ended that")

    def _cap(self, row: LedgerRow) -> None:
        body = msgspec.convert(row.body, _CapBody)
        Period.named(row.period)
        former = max(body.former_cap, self._caps.get((row.metric, row.period), 0.0))
        _require(row, row.charge is None, "a cap has no price")
        _require(row, body.former_cap == former, "a cap was raised from less than it was")
        _require(row, body.epsilon_cap > former, "a cap was lowered")
        _require(row, bool(body.who and body.why), "nobody or no reason is named")
        self._caps[row.metric, row.period] = body.epsilon_cap

    def _series(self, row: LedgerRow) -> None:
        plan, period = Plan.from_dict(row.body), Period.named(row.period)
        if plan.plan_id not in self._certified:
            check_plan(plan)
            self._certified.add(plan.plan_id)
        key = _series_key(row)
        self._open(row, period, row.subject)
        _same(row, "days", plan.days, period.days)
        price = GaussianCharge(plan.sigma, plan.sensitivity_squared, plan.days)
        _same(row, "charge", row.charge, price.to_dict())
        self._capped(row)
        self.series[row.subject] = AuditedSeries(row.sequence, key, period, plan)

    def _release(self, row: LedgerRow) -> None:
        release, period = msgspec.convert(row.body, Release), Period.named(row.period)
        key = ReleaseKey(release.metric, release.window_days, release.day, release.revision)
        for name, stated, expected in (
            ("metric", release.metric, row.metric),
            ("period", release.period, row.period),
            ("charge", release.charge, row.charge),
            ("released_at", release.released_at, row.recorded_at),
            ("release_id", release.release_id, row.subject),
            ("release_id", release.release_id, key.release_id),
            ("estimate", release.estimate, max(round(release.estimate_raw), 0)),
        ):
            _same(row, name, stated, expected)
        _require(row, period.first <= release.day <= period.last, "its day is not in its period")
        is_daily = release.metric is Metric.DAU
        _require(row, release.window_days == 1 or not is_daily, "DAU counts one day")
        self._revised(row, key)
        if release.mechanism is Mechanism.CONTINUAL:
            self._continual(row, release)
        else:
            self._open(row, period)
            self._on_demand(row, release)
        self._released.add(key)

    def _revised(self, row: LedgerRow, key: ReleaseKey) -> None:
        former = ReleaseKey(key.metric, key.window_days, key.day, key.revision - 1)
        in_order = key.revision == 0 or former in self._released
        _require(row, in_order, f"revision {key.revision} has no revision before it")

    def _on_demand(self, row: LedgerRow, release: Release) -> None:
        charge = charge_from_dict(row.charge or {})
        noise = _noise(charge)
        variance = _sketch_variance(row, release)
        bounds = interval(release.measurement, noise.half_width, variance)
        sensitivity = None if release.sensitivity is None else release.sensitivity**2
        for name, stated, expected in (
            ("mechanism", release.mechanism, noise.mechanism),
            ("plan_id", release.plan_id, None),
            ("sensitivity", sensitivity, noise.sensitivity_squared),
            ("estimate_raw", release.estimate_raw, release.measurement),
        ):
            _same(row, name, stated, expected)
        std_error = math.sqrt(noise.std_error**2 + variance.at(release.measurement))
        for name, number, recomputed in (
            ("epsilon", release.epsilon, charge.epsilon(release.delta or 0.5)),
            ("std_error", release.std_error, std_error),
            ("lower_95", release.lower_95, bounds.lower),
            ("upper_95", release.upper_95, bounds.upper),
        ):
            _near(row, name, number, recomputed)
        # Pure releases have no δ, others one.
        _require(row, (release.delta == 0) == charge.is_pure, "its delta does not fit its noise")
        self._capped(row)

    def _continual(self, row: LedgerRow, release: Release) -> None:
        key = SeriesKey(release.metric, release.window_days, release.period)
        series = self.series.get(key.series_id)
        if series is None:
            raise LedgerDamagedError(row.sequence, f"its series {key.series_id} was never opened")
        plan, index = series.plan, len(series.values)
        self._open(row, series.period, key.series_id)
        for name, stated, expected in (
            ("charge", row.charge, None),
            ("plan_id", release.plan_id, plan.plan_id),
            ("revision", release.revision, 0),
            ("epsilon", release.epsilon, plan.epsilon),
            ("delta", release.delta, plan.delta),
            ("sensitivity", release.sensitivity, plan.sensitivity),
            ("day", series.period.index_of(release.day), index),
        ):
            _same(row, name, stated, expected)
        self._solves(row, series, release)
        variance = _sketch_variance(row, release)
        for name, recomputed in _errors(series, index, release.estimate_raw, variance):
            _near(row, name, getattr(release, name), recomputed)
        series.values.append(release.estimate_raw)

    def _solves(self, row: LedgerRow, series: AuditedSeries, release: Release) -> None:
        """The estimates, put into the plan's equation of this day, give its measurement."""
        entries = series.plan.strategy[len(series.values)]
        terms = [
            entry * value
            for entry, value in zip(entries, [*series.values, release.estimate_raw], strict=False)
        ]
        residual = math.fsum([*terms, -release.measurement])
        scale = math.fsum(map(abs, [*terms, release.measurement, *entries]))
        room = _RESIDUAL * scale
        _require(row, abs(residual) <= room, "its estimate_raw does not follow from measurements")

    def _capped(self, row: LedgerRow) -> None:
        """The cap that a charge states is not below one that was raised before."""
        stated = row.body.get("epsilon_cap")
        raised = self._caps.get((row.metric, row.period), 0.0)
        _require(row, stated is None or stated >= raised, "it states a cap below the raised one")


def _series_key(row: LedgerRow) -> SeriesKey:
    """The key whose id is the row's subject."""
    window = row.subject.removeprefix(f"{row.metric}-").removesuffix(f"d-{row.period}")
    key = SeriesKey(row.metric, int(window), row.period)
    _same(row, "subject", row.subject, key.series_id)
    return key


@dataclass(frozen=True, slots=True)
class _Noise:
    """What a charge says of the noise of one release."""

    mechanism: Mechanism
    std_error: float
    half_width: int
    sensitivity_squared: int | None


def _noise(charge: Charge) -> _Noise:
    if isinstance(charge, LaplaceCharge):
        laplace = LaplaceMechanism(charge.scale, charge.sensitivity)
        errors = laplace.std_error, laplace.half_width()
        return _Noise(Mechanism.LAPLACE, *errors, charge.sensitivity**2)
    if isinstance(charge, GaussianCharge) and charge.dimension == 1:
        sigma = charge.sigma
        errors = (
            discrete_gaussian.standard_deviation(sigma),
            discrete_gaussian.half_width(sigma, _COVERAGE),
        )
        return _Noise(Mechanism.GAUSSIAN, *errors, charge.sensitivity_squared)
    if isinstance(charge, PureCharge):
        return _Noise(Mechanism.INTRINSIC, 0.0, 0, None)
    raise ValueError(charge.kind)


def _sketch_variance(row: LedgerRow, release: Release) -> CountVariance:
    """The error of a release's sketch, which its sensitivity or its size and ε determine."""
    if release.sketch is SketchKind.HLLPP:
        _same(row, "mechanism", release.mechanism, Mechanism.INTRINSIC)
        return IntrinsicMechanism(release.epsilon, release.log2_registers or 0).variance
    sensitivity = release.sensitivity or 0
    exponent = max(sensitivity.bit_length() - 1, 0)
    fits = sensitivity == 2**exponent and (exponent > 0) == (release.sketch is SketchKind.THETA)
    expected = "one" if release.sketch is SketchKind.SET else "a power of two above one"
    _require(row, fits, f"its sensitivity is {release.sensitivity}; expected {expected}")
    return CountVariance.of_sample(exponent)


def _errors(
    series: AuditedSeries, index: int, value: float, variance: CountVariance
) -> list[tuple[str, float]]:
    """What the plan gives for the standard error, the interval and the band of a day."""
    plan = series.plan
    miss = (1 - _COVERAGE) * math.exp(-plan.days / (24 * plan.sigma**2))
    miss_of_band = -math.expm1(math.log1p(-miss) / plan.days)
    std_error = plan.sigma * float(series.euclidean[index])
    rounding = float(series.absolute[index]) / 2
    half, band = (
        -NormalDist().inv_cdf(each / 2) * std_error + rounding for each in (miss, miss_of_band)
    )
    day = interval(value, half, variance, _COVERAGE)
    all_days = interval(value, band, variance, _COVERAGE ** (1 / plan.days))
    return [
        ("std_error", math.sqrt(std_error**2 + variance.at(value))),
        ("lower_95", day.lower),
        ("upper_95", day.upper),
        ("band_lower_95", all_days.lower),
        ("band_upper_95", all_days.upper),
    ]


def _require(row: LedgerRow, holds: bool, reason: str) -> None:  # noqa: FBT001 - the condition
    if not holds:
        raise LedgerDamagedError(row.sequence, reason)


def _same(row: LedgerRow, name: str, stated: Any, expected: Any) -> None:
    _require(row, stated == expected, f"its {name} is {stated!s:.80}; expected {expected!s:.80}")


def _near(row: LedgerRow, name: str, stated: float | None, expected: float) -> None:
    holds = stated is not None and math.isclose(
        stated, expected, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE
    )
    _require(row, holds, f"its {name} is {stated!r}; recomputed, it is {expected!r}")
