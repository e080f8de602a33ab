"""Made-up events by the day on which they arrive."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arrivals", "Simulation"]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The events that arrive on one day, in order, one column a field.

    Attributes:
        day: the day of arrival, as an ordinal.
        users: n numbers that tell people apart, int64.
        days: n ordinals of the days that the events tell of, int32.
        adds: n booleans; True for op "+".
        whole_user: n booleans; True where the whole person is erased.
    """

    day: int
    users: NDArray[np.int64]
    days: NDArray[np.int32]
    adds: NDArray[np.bool_]
    whole_user: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.users)


class Simulation(Protocol):
    """A reproducible stream of made-up events."""

    @property
    def days(self) -> int:
        """How many days it lasts."""

    @property
    def end(self) -> date:
        """The last of them."""

    def arrivals(self) -> Iterator[Arrivals]:
        """The events of every day, oldest first; the same each time."""
