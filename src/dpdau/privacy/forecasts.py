"""What a planner answers: values."""

from dataclasses import dataclass

from dpdau.model.counting import Counting
from dpdau.model.releases import Mechanism
from dpdau.privacy.questions import Question

__all__ = ["Forecast", "MechanismForecast", "SketchForecast"]


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
class SketchForecast:
    """What one way to count gives for the same budget, under the mechanism that is best for it.

    Attributes:
        counting: which.
        std_error: standard error of a day's value, in users.
        relative_error: the same as a share of the users.
        stored_users: how many of a day's users are stored.
        day_bytes: the most that their membership takes, on disk and in memory: two bytes each in
            a Roaring bitmap, less where they are dense.
        release_bytes: what a release needs besides.
    """

    counting: Counting
    std_error: float
    relative_error: float
    stored_users: int
    day_bytes: int
    release_bytes: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """The answer to a question: every mechanism, and the one to take.

    Attributes:
        question: what was asked.
        mechanisms: continual, gaussian and laplace; without gaussian where its T releases exceed
            the period's ε however small their own, since each keeps a δ of its own. With `hllpp`,
            intrinsic alone.
        best: the least ε for the target if there is one, else the least error.
        sketches: the question's way to count and its alternatives, each with its best mechanism.
    """

    question: Question
    mechanisms: tuple[MechanismForecast, ...]
    best: MechanismForecast
    sketches: tuple[SketchForecast, ...]
