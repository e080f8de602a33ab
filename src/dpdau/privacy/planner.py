"""What accuracy a budget buys, and what budget an accuracy needs, before anything is spent.

Every figure comes from the mechanism, the strategy and the accountant that would be used; none
depends on data. Three ways to publish one value on each of the T days of a period are compared:

- continual: σ and the strategy C of the period's plan. The error of day d is σ‖(C⁻¹)_d‖, so a
  target gives σ, and σ gives ε by `discrete_gaussian_epsilon`: no search.
- gaussian, laplace: fresh noise each day, at the largest ε of one release, to four significant
  digits, of which T compose to the period's ε. A target gives σ or the scale in closed form,
  hence the ε of a release, and the accountant says what T of them cost.

What users are counted with adds to each error in squares: nothing for exact sets, N·(2^k − 1) for a
sample at rate 2^−k, whose noise is 2^k times as large, and for HyperLogLog, which replaces all noise,
what `model.counting` states.

Rounding to four digits makes the figure one that can be configured as it stands; what it costs
is below 0.1 % of ε.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from dpdau.errors import InvalidValueError
from dpdau.model.counting import MOST_PHANTOMS, CountVariance
from dpdau.model.releases import Mechanism, SketchKind
from dpdau.privacy.accountant import compose
from dpdau.privacy.charges import Charge, PureCharge
from dpdau.privacy.continual import half_widths, standard_errors
from dpdau.privacy.discrete_gaussian import discrete_gaussian_epsilon, standard_deviation
from dpdau.privacy.forecasts import Forecast, MechanismForecast, SketchForecast
from dpdau.privacy.gaussian import GaussianMechanism
from dpdau.privacy.gaussian_curve import bisect, gaussian_epsilon, gaussian_mu
from dpdau.privacy.intrinsic import IntrinsicMechanism
from dpdau.privacy.laplace import LaplaceMechanism
from dpdau.privacy.questions import LARGEST_EPSILON, SMALLEST_EPSILON, Question
from dpdau.privacy.strategy import Plan, make_plan

__all__ = ["forecast"]

_STEPS_PER_DECADE = 9000
_LEAST_RELEASE = 1e-6
_LEAST_SIGMA = 0.05
_ROUNDING = 1e-9
_QUANTILE = float(ndtri(0.975))
_BYTES_PER_USER = 2


def forecast(question: Question) -> Forecast:
    """The expected errors of all mechanisms, and what a target would cost.

    Raises:
        InvalidValueError: if no mechanism reaches the target below ε = 50.
    """
    mechanisms = _mechanisms(question)
    if not mechanisms:
        expected = (
            "an ε that pays for the phantoms of HLL_LOG2_REGISTERS: fewer registers, or more ε"
        )
        raise InvalidValueError("epsilon", question.epsilon, expected)
    sketches = _sketches(question, mechanisms)
    target = question.target
    if target is None:
        return Forecast(question, mechanisms, _most_precise(mechanisms), sketches)
    reaching = [each for each in mechanisms if each.epsilon_for_target is not None]
    if not reaching:
        raise InvalidValueError(
            "target_error",
            target.text,
            f"an error that some noise reaches: with {question.users:,} users this is "
            f"{target.in_users(question.users):.3g} users, which no mechanism reaches below "
            f"ε = {LARGEST_EPSILON:g} over {question.days} days",
        )
    best = min(reaching, key=lambda each: (each.epsilon_for_target or 0.0, each.std_error))
    return Forecast(question, mechanisms, best, sketches)


def _mechanisms(question: Question) -> tuple[MechanismForecast, ...]:
    """Those that go with the question's way to count."""
    if question.counting.kind is SketchKind.HLLPP:
        found: tuple[MechanismForecast | None, ...] = (_intrinsic(question),)
    else:
        found = (_continual(question), _gaussian(question), _laplace(question))
    return tuple(each for each in found if each is not None)


def _most_precise(mechanisms: Iterable[MechanismForecast]) -> MechanismForecast:
    return min(mechanisms, key=lambda each: each.std_error)


def _sketches(
    question: Question, mechanisms: tuple[MechanismForecast, ...]
) -> tuple[SketchForecast, ...]:
    found = [_sketch(question, mechanisms)]
    for counting in question.alternatives:
        asked = replace(question, counting=counting, alternatives=(), target=None)
        if others := _mechanisms(asked):
            found.append(_sketch(asked, others))
    return tuple(sorted(found, key=lambda each: tuple(SketchKind).index(each.counting.kind)))


def _sketch(question: Question, mechanisms: tuple[MechanismForecast, ...]) -> SketchForecast:
    counting, best = question.counting, _most_precise(mechanisms)
    stored = math.ceil(question.users / 2**counting.exponent)
    return SketchForecast(
        counting=counting,
        std_error=best.std_error,
        relative_error=best.relative_error,
        stored_users=stored,
        day_bytes=_BYTES_PER_USER * stored,
        release_bytes=2**counting.log2_registers if counting.log2_registers else 0,
    )


# --- what counting adds ----------------------------------------------------------------------


def _sample_error(question: Question) -> float:
    """The standard error of a sample's count, before noise; 0 for exact sets."""
    variance = CountVariance.of_sample(question.counting.exponent)
    return math.sqrt(variance.at(question.users))


def _noise_for_target(question: Question) -> float | None:
    """The standard error that is left for the noise; None if there is no target, or no room."""
    if question.target is None:
        return None
    target, sample = question.target.in_users(question.users), _sample_error(question)
    return math.sqrt((target - sample) * (target + sample)) if target > sample else None


# --- continual -----------------------------------------------------------------------------


def _continual(question: Question) -> MechanismForecast:
    plan, sample_error = _plan(question), _sample_error(question)
    std_error = math.hypot(_mean(standard_errors(plan)), sample_error)
    return MechanismForecast(
        mechanism=Mechanism.CONTINUAL,
        spent_epsilon=plan.epsilon,
        release_epsilon=None,
        std_error=std_error,
        relative_error=std_error / question.users,
        half_width_95=math.hypot(_mean(half_widths(plan)), _QUANTILE * sample_error),
        epsilon_for_target=_continual_epsilon(question, plan),
        publishable_days=question.days,
    )


def _plan(question: Question) -> Plan:
    """The plan that the period would be opened with."""
    epsilon = round(question.epsilon * question.series_share, 12)
    sensitivity = 1 << question.counting.exponent
    return make_plan(question.days, question.presence, epsilon, question.delta, sensitivity)


def _continual_epsilon(question: Question, plan: Plan) -> float | None:
    error = _noise_for_target(question)
    if error is None:
        return None
    sigma = error / (_mean(standard_errors(plan)) / plan.sigma)
    series = discrete_gaussian_epsilon(plan.sensitivity_squared, sigma, plan.days, question.delta)
    return _in_reach(series / question.series_share)


# --- one release a day -----------------------------------------------------------------------


class _Mechanism(Protocol):
    """What is asked of a mechanism."""

    @property
    def charge(self) -> Charge: ...

    @property
    def std_error(self) -> float: ...

    def half_width(self) -> float: ...


def _gaussian(question: Question) -> MechanismForecast | None:
    sensitivity = 1 << question.counting.exponent

    def calibrate(epsilon: float) -> _Mechanism:
        return GaussianMechanism.calibrate(epsilon, question.delta, sensitivity)

    def needed(error: float) -> float:
        sigma = bisect(lambda each: standard_deviation(each) >= error, _LEAST_SIGMA, error + 1)
        return discrete_gaussian_epsilon(sensitivity**2, sigma, 1, question.delta)

    # Exact for continuous noise, so that the search starts where it ends.
    mu = gaussian_mu(question.epsilon, question.delta) / math.sqrt(question.days)
    guess = gaussian_epsilon(mu, question.delta)
    return _per_release(question, Mechanism.GAUSSIAN, calibrate, needed, guess)


def _laplace(question: Question) -> MechanismForecast | None:
    sensitivity = 1 << question.counting.exponent

    def calibrate(epsilon: float) -> _Mechanism:
        return LaplaceMechanism.calibrate(epsilon, sensitivity)

    def needed(error: float) -> float:
        # The standard deviation √(2p)/(1 − p), p = e^{−ε}, solved for √p without cancellation.
        per_scale = math.log(math.sqrt(2) * error / (1 + math.sqrt(1 + 2 * error**2)))
        return -2 * sensitivity * per_scale

    # Many small charges add up as Gaussian ones do, few large ones as numbers do.
    mu = gaussian_mu(question.epsilon, question.delta) / math.sqrt(question.days)
    guess = min(max(mu, question.epsilon / question.days), question.epsilon)
    return _per_release(question, Mechanism.LAPLACE, calibrate, needed, guess)


@dataclass(frozen=True, slots=True)
class _Intrinsic:
    """One HyperLogLog release, at any ε: the error is infinite where phantoms would be too many."""

    question: Question
    epsilon: float

    @property
    def charge(self) -> Charge:
        return PureCharge(self.epsilon)

    @property
    def std_error(self) -> float:
        log2_registers = self.question.counting.log2_registers
        if self.epsilon < 2**log2_registers / MOST_PHANTOMS:
            return math.inf
        variance = IntrinsicMechanism(self.epsilon, log2_registers).variance
        return math.sqrt(variance.at(self.question.users))

    def half_width(self) -> float:
        return _QUANTILE * self.std_error


def _intrinsic(question: Question) -> MechanismForecast | None:
    # The same price as Laplace noise, or nearly so.
    mu = gaussian_mu(question.epsilon, question.delta) / math.sqrt(question.days)
    guess = min(max(mu, question.epsilon / question.days), question.epsilon)
    return _per_release(
        question, Mechanism.INTRINSIC, partial(_Intrinsic, question), lambda _: guess, guess
    )


def _per_release(
    question: Question,
    mechanism: Mechanism,
    calibrate: Callable[[float], _Mechanism],
    needed: Callable[[float], float],
    guess: float,
) -> MechanismForecast | None:
    """A mechanism that adds fresh noise each day.

    Args:
        question: what was asked.
        mechanism: its name.
        calibrate: the least noise for an ε of one release.
        needed: the ε of one release whose standard error is this many users.
        guess: about the ε of one release of which the period's ε pays T.
    """
    calibrated = lru_cache(calibrate)

    def total(epsilon: float) -> float:
        return _composed(question, calibrated(epsilon), question.days)

    if total(_LEAST_RELEASE) > question.epsilon:
        return None
    sample_error, noise_for_target = _sample_error(question), _noise_for_target(question)
    paid = _epsilon_of(
        _first(lambda step: total(_epsilon_of(step)) > question.epsilon, _step_from(guess)) - 1
    )
    chosen = calibrated(paid)
    if not math.isfinite(chosen.std_error):
        return None
    std_error = math.hypot(chosen.std_error, sample_error)
    for_target = None
    if noise_for_target is not None:
        guess = needed(noise_for_target)
        for_target = _needed_epsilon(calibrated, total, noise_for_target, guess)
    return MechanismForecast(
        mechanism=mechanism,
        spent_epsilon=total(paid),
        release_epsilon=paid,
        std_error=std_error,
        relative_error=std_error / question.users,
        half_width_95=math.hypot(chosen.half_width(), _QUANTILE * sample_error),
        epsilon_for_target=for_target,
        publishable_days=_publishable_days(question, calibrate(question.release_epsilon)),
    )


def _needed_epsilon(
    calibrated: Callable[[float], _Mechanism],
    total: Callable[[float], float],
    error: float,
    guess: float,
) -> float | None:
    """The ε of a period whose releases have this standard error."""
    if calibrated(LARGEST_EPSILON).std_error > error:
        return None
    release = _LEAST_RELEASE
    if calibrated(release).std_error > error:
        is_enough = lambda step: calibrated(_epsilon_of(step)).std_error <= error  # noqa: E731
        release = _epsilon_of(_first(is_enough, _step_from(guess)))
    return _in_reach(total(release))


def _publishable_days(question: Question, mechanism: _Mechanism) -> int:
    """How often the period's budget pays for a release, up to once a day."""
    # The same allowance for rounding that budgets have where they are enforced.
    budget = question.epsilon * (1 + _ROUNDING)
    low, high = 0, question.days + 1
    while high - low > 1:
        middle = (low + high) // 2
        if _composed(question, mechanism, middle) <= budget:
            low = middle
        else:
            high = middle
    return low


def _composed(question: Question, mechanism: _Mechanism, releases: int) -> float:
    """The ε of this many releases, by the accountant that enforces budgets."""
    charges: list[Charge] = [mechanism.charge] * releases
    composition = compose(
        charges, delta=question.delta, advanced_delta=question.advanced_delta, rdp_orders=()
    )
    return composition.tight.epsilon


# --- figures of four digits ----------------------------------------------------------------


def _epsilon_of(step: int) -> float:
    """The numbers of four significant digits in ascending order, 1 at 0; no less than the least."""
    decade, digits = divmod(step, _STEPS_PER_DECADE)
    return max(float(f"{1000 + digits}e{decade - 3}"), _LEAST_RELEASE)


def _step_from(epsilon: float) -> int:
    """A step near an ε."""
    epsilon = max(epsilon, _LEAST_RELEASE)
    decade = math.floor(math.log10(epsilon))
    return _STEPS_PER_DECADE * decade + round(1000 * (epsilon / 10.0**decade - 1))


def _first(holds: Callable[[int], bool], near: int) -> int:
    """The first step at which a condition holds that is monotone in the step."""
    stride = 1
    if holds(near):
        while holds(near - stride):
            near, stride = near - stride, 2 * stride
        low, high = near - stride, near
    else:
        while not holds(near + stride):
            near, stride = near + stride, 2 * stride
        low, high = near, near + stride
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


# --- shared ----------------------------------------------------------------------------------


def _in_reach(epsilon: float) -> float | None:
    """An ε that can be planned with, or None if only a larger one would do."""
    return max(epsilon, SMALLEST_EPSILON) if epsilon <= LARGEST_EPSILON else None


def _mean(errors: NDArray[np.float64]) -> float:
    """The root of the mean square."""
    return math.sqrt(float((errors**2).mean()))
