"""The exact numbers that made-up activity has, by day; what no reader of the product ever sees."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap64

__all__ = ["Truth"]


@dataclass(slots=True)
class Truth:
    """Who is active by day, exactly; users are numbers.

    Attributes:
        users: by day, as an ordinal.
        erased_on: by user, the day of their last erasure; what is dated before it does not count.
    """

    users: dict[int, BitMap64] = field(default_factory=lambda: defaultdict(BitMap64))
    erased_on: dict[int, int] = field(default_factory=dict)

    def apply(
        self,
        users: NDArray[np.int64],
        days: NDArray[np.int32],
        adds: NDArray[np.bool_],
        whole_user: NDArray[np.bool_],
    ) -> None:
        """Let events happen, in order of arrival; columns as in `Arrivals`."""
        last_erasure: dict[int, int] = {}
        for position in np.flatnonzero(whole_user).tolist():
            user = int(users[position])
            last_erasure[user] = position
            self.erased_on[user] = max(int(days[position]), self.erased_on.get(user, 0))
        if last_erasure:
            leaving = BitMap64(last_erasure)
            for day in self.users:
                self.users[day] -= leaving
        counts = ~whole_user
        for position in np.flatnonzero(np.isin(users, list(self.erased_on))).tolist():
            user = int(users[position])
            counts[position] &= position > last_erasure.get(user, -1)
            counts[position] &= days[position] >= self.erased_on[user]
        self._apply_days(users[counts], days[counts], adds[counts])

    def active(self, day: date, window_days: int) -> BitMap64:
        """The users of the window that ends on a day."""
        last = day.toordinal()
        window = (self.users[each] for each in range(last - window_days + 1, last + 1))
        return BitMap64.union(*window)

    def count(self, day: date, window_days: int) -> int:
        """Distinct users of the window that ends on a day."""
        return len(self.active(day, window_days))

    def _apply_days(
        self, users: NDArray[np.int64], days: NDArray[np.int32], adds: NDArray[np.bool_]
    ) -> None:
        """Apply "+" and "-" of days; the last operation wins per user and day."""
        for day in np.unique(days).tolist():
            of_day = days == day
            # From the end, so that the first mention is the last operation.
            found, last = np.unique(users[of_day][::-1], return_index=True)
            joins = adds[of_day][::-1][last]
            self.users[day] |= BitMap64(found[joins].tolist())
            self.users[day] -= BitMap64(found[~joins].tolist())
