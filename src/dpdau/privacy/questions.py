"""What a planner is asked: values that say which figures cannot be planned with."""

from dataclasses import dataclass
from typing import Any, Self

from dpdau.errors import InvalidValueError
from dpdau.model.counting import EXACT, Counting
from dpdau.model.releases import Metric
from dpdau.privacy.checks import require_number, require_probability
from dpdau.privacy.strategy import Presence

__all__ = ["LARGEST_EPSILON", "SMALLEST_EPSILON", "Question", "TargetError"]

SMALLEST_EPSILON = 1e-3
"""Of a period; below it, noise drowns any population that one service counts."""

LARGEST_EPSILON = 50.0
"""Of a period; far above everything that still promises something."""

_MOST_USERS = 10**12
_LEAST_ERROR = 1e-9
_MOST_DAYS = 366
_EXPECTED_TARGET = "a share of the users above 0 and up to 100 %, like 1%, or a number of users"


@dataclass(frozen=True, slots=True)
class TargetError:
    """The standard error that is wanted.

    Attributes:
        value: above 0; a share of the users (0.01 for 1 %) or a number of users.
        is_relative: whether it is a share.
    """

    value: float
    is_relative: bool

    def __post_init__(self) -> None:
        largest = 1.0 if self.is_relative else _MOST_USERS
        if not 0 < self.value <= largest:
            raise InvalidValueError("target_error", self.text, _EXPECTED_TARGET)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `1%`, a share of the users, or `250`, a number of users.

        Raises:
            InvalidValueError: if it is neither, or no error that could be asked for.
        """
        number = text.strip()
        is_relative = number.endswith("%")
        try:
            value = float(number.removesuffix("%"))
        except ValueError:
            raise InvalidValueError("target_error", text, _EXPECTED_TARGET) from None
        return cls(value / 100 if is_relative else value, is_relative)

    @property
    def text(self) -> str:
        """As `parse` reads it."""
        return f"{100 * self.value:g}%" if self.is_relative else f"{self.value:g}"

    def in_users(self, users: int) -> float:
        """The same error as a number of users."""
        return self.value * users if self.is_relative else self.value


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be published, for whom, and what may be spent.

    Attributes:
        metric: what is counted.
        window_days: the trailing days counted, 1 to 366; 1 for DAU.
        users: how many are expected to be counted on a typical day, 1 to 10^12.
        days: T, the days of the period, each of which gets a value; 1 to 366.
        presence: what one user's presence may be in a continual series.
        epsilon: what all values of the period may cost together, 0.001 to 50.
        delta: the δ that belongs to it, in (0, 1).
        series_share: what a continual series takes of ε; the rest is left for on-demand releases.
        release_epsilon: ε of one release that belongs to no series, as configured.
        advanced_delta: what advanced composition adds to δ.
        target: the error that is wanted, if any.
        counting: how users are counted.
        alternatives: other ways to count, to compare with.
    """

    metric: Metric
    window_days: int
    users: int
    days: int
    presence: Presence
    epsilon: float
    delta: float
    series_share: float
    release_epsilon: float
    advanced_delta: float
    target: TargetError | None = None
    counting: Counting = EXACT
    alternatives: tuple[Counting, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be planned.

        Raises:
            InvalidValueError: naming the value that is out of range.
        """
        _require_whole("users", self.users, _MOST_USERS)
        _require_whole("days", self.days, _MOST_DAYS)
        _require_whole("window", self.window_days, 1 if self.metric is Metric.DAU else _MOST_DAYS)
        require_number("epsilon", self.epsilon, SMALLEST_EPSILON, LARGEST_EPSILON)
        require_probability("delta", self.delta)
        target = self.target
        if target is not None and not _LEAST_ERROR <= target.in_users(self.users) <= self.users:
            expected = f"at least {_LEAST_ERROR:g} users and at most all {self.users:,} of them"
            raise InvalidValueError("target_error", target.text, expected)


def _require_whole(name: str, value: Any, largest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        expected = "1" if largest == 1 else f"a whole number from 1 to {largest:,}"
        raise InvalidValueError(name, value, expected)
