"""What accuracy a budget buys, and what budget an accuracy needs, before anything is spent.

Every figure comes from the mechanism, the strategy and the accountant that would be used; none
depends on data. Three ways to publish one value on each of the T days of a period are compared:

- continual: σ and the strategy C of the period's plan. The error of day d is σ‖(C⁻¹)_d‖, so a
  target gives σ, and σ gives ε by `discrete_gaussian_epsilon`: no search.
- gaussian, laplace: fresh noise each day, at the largest ε of one release, to four significant
  digits, of which T compose to the period's ε. A target gives σ or the scale in closed form,
  hence the ε of a release, and the accountant says what T of them cost.

Rounding to four digits makes the figure one that can be configured as it stands; what it costs
is below 0.1 % of ε.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dpdau.errors import InvalidValueError
from dpdau.model.releases import Mechanism
from dpdau.privacy.accountant import compose
from dpdau.privacy.charges import Charge
from dpdau.privacy.continual import half_widths, standard_errors
from dpdau.privacy.discrete_gaussian import discrete_gaussian_epsilon, standard_deviation
from dpdau.privacy.gaussian import GaussianMechanism
from dpdau.privacy.gaussian_curve import bisect, gaussian_epsilon, gaussian_mu
from dpdau.privacy.laplace import LaplaceMechanism
from dpdau.privacy.questions import LARGEST_EPSILON, SMALLEST_EPSILON, Question
from dpdau.privacy.strategy import Plan, make_plan

__all__ = [
    "Forecast",
    "MechanismForecast",
    "forecast",
]

_STEPS_PER_DECADE = 9000
_LEAST_RELEASE = 1e-6
_LEAST_SIGMA = 0.05
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class MechanismForecast:
    """What one way of publishing gives.

    Attributes:
        mechanism: which.
        spent_epsilon: the ε that the values of the period's days cost together.
        release_epsilon: the ε of one release at which the whole period is paid for; None for a
            continual series, which is paid as one.
        std_error: standard error of a day's value, in users: the root of the mean square over
            the days.
        relative_error: the same as a share of the users.
        half_width_95: half of a day's 95 % interval, in users.
        epsilon_for_target: the period's ε that the target error needs; None without a target, or
            if no ε up to 50 is enough.
        publishable_days: how many of the period's days the budget pays for at the configured ε of
            one release; in a continual series, all.
    """

    mechanism: Mechanism
    spent_epsilon: float
    release_epsilon: float | None
    std_error: float
    relative_error: float
    half_width_95: float
    epsilon_for_target: float | None
    publishable_days: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """The answer to a question: every mechanism, and the one to take.

    Attributes:
        question: what was asked.
        mechanisms: continual, gaussian and laplace; without gaussian where its T releases exceed
            the period's ε however small their own, since each keeps a δ of its own.
        best: the least ε for the target if there is one, else the least error.
    """

    question: Question
    mechanisms: tuple[MechanismForecast, ...]
    best: MechanismForecast


def forecast(question: Question) -> Forecast:
    """The expected errors of all mechanisms, and what a target would cost.

    Raises:
        InvalidValueError: if no mechanism reaches the target below ε = 50.
    """
    found = (_continual(question), _gaussian(question), _laplace(question))
    mechanisms = tuple(each for each in found if each is not None)
    target = question.target
    if target is None:
        return Forecast(question, mechanisms, min(mechanisms, key=lambda each: each.std_error))
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
    return Forecast(question, mechanisms, best)


# --- continual -----------------------------------------------------------------------------


def _continual(question: Question) -> MechanismForecast:
    plan = _plan(question)
    return MechanismForecast(
        mechanism=Mechanism.CONTINUAL,
        spent_epsilon=plan.epsilon,
        release_epsilon=None,
        std_error=_mean(standard_errors(plan)),
        relative_error=_mean(standard_errors(plan)) / question.users,
        half_width_95=_mean(half_widths(plan)),
        epsilon_for_target=_continual_epsilon(question, plan),
        publishable_days=question.days,
    )


def _plan(question: Question) -> Plan:
    """The plan that the period would be opened with."""
    epsilon = round(question.epsilon * question.series_share, 12)
    return make_plan(question.days, question.presence, epsilon, question.delta)


def _continual_epsilon(question: Question, plan: Plan) -> float | None:
    if question.target is None:
        return None
    error = question.target.in_users(question.users)
    sigma = error / (_mean(standard_errors(plan)) / plan.sigma)
    series = discrete_gaussian_epsilon(plan.sensitivity_squared, sigma, plan.days, question.delta)
    return _in_reach(series / question.series_share)


# --- one release a day -----------------------------------------------------------------------

_Mechanism: TypeAlias = GaussianMechanism | LaplaceMechanism


def _gaussian(question: Question) -> MechanismForecast | None:
    def calibrate(epsilon: float) -> _Mechanism:
        return GaussianMechanism.calibrate(epsilon, question.delta, 1)

    def needed(error: float) -> float:
        sigma = bisect(lambda each: standard_deviation(each) >= error, _LEAST_SIGMA, error + 1)
        return discrete_gaussian_epsilon(1, sigma, 1, question.delta)

    # Exact for continuous noise, so that the search starts where it ends.
    mu = gaussian_mu(question.epsilon, question.delta) / math.sqrt(question.days)
    guess = gaussian_epsilon(mu, question.delta)
    return _per_release(question, Mechanism.GAUSSIAN, calibrate, needed, guess)


def _laplace(question: Question) -> MechanismForecast | None:
    def calibrate(epsilon: float) -> _Mechanism:
        return LaplaceMechanism.calibrate(epsilon, 1)

    def needed(error: float) -> float:
        # The standard deviation √(2p)/(1 − p), p = e^{−ε}, solved for √p without cancellation.
        return -2 * math.log(math.sqrt(2) * error / (1 + math.sqrt(1 + 2 * error**2)))

    # Many small charges add up as Gaussian ones do, few large ones as numbers do.
    mu = gaussian_mu(question.epsilon, question.delta) / math.sqrt(question.days)
    guess = min(max(mu, question.epsilon / question.days), question.epsilon)
    return _per_release(question, Mechanism.LAPLACE, calibrate, needed, guess)


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
    paid = _epsilon_of(
        _first(lambda step: total(_epsilon_of(step)) > question.epsilon, _step_from(guess)) - 1
    )
    chosen = calibrated(paid)
    for_target = None
    if question.target is not None:
        error = question.target.in_users(question.users)
        for_target = _needed_epsilon(calibrated, total, error, needed(error))
    return MechanismForecast(
        mechanism=mechanism,
        spent_epsilon=total(paid),
        release_epsilon=paid,
        std_error=chosen.std_error,
        relative_error=chosen.std_error / question.users,
        half_width_95=float(chosen.half_width()),
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
