"""Leaps of the clock: what cannot be undone waits until the clock can be believed.

A clock that leaps ahead, as after a restored snapshot of a machine or a wrong source of time, makes
days close that have not been and lets retention drop what is still needed. Going back needs no
such care: fewer days are closed then, and what was published stays as it is.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from dpdau.errors import ClockLeaptError

__all__ = ["BELIEVED_AFTER", "LEAP", "LeapGuard"]

LEAP = timedelta(days=35)
"""How far ahead the clock may be at once; what runs once a month is a month ahead each time."""

BELIEVED_AFTER = timedelta(hours=12)
"""How long a process has to run under a clock that leapt before it is believed."""


class LeapGuard:
    """Compares the clock with the time that the process has run.

    Formal guarantees:
        What it decides follows from the clock alone, so it reveals nothing of the data.
    """

    def __init__(
        self, clock: Callable[[], datetime], *, elapsed: Callable[[], float] = time.monotonic
    ) -> None:
        """Believe the clock as it is.

        Args:
            clock: gives the time.
            elapsed: gives a time in seconds that never leaps.
        """
        self._clock = clock
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._believed = clock()
        self._looked_at = elapsed()
        self._leapt_at: float | None = None

    @property
    def is_steady(self) -> bool:
        """Whether the clock may be believed."""
        with self._lock:
            return self._leap() is None

    def require_steady(self) -> None:
        """Pass if the clock may be believed.

        Raises:
            ClockLeaptError: if it leapt ahead a short while ago.
        """
        with self._lock:
            leap = self._leap()
        if leap is not None:
            raise ClockLeaptError(*leap)

    def _leap(self) -> tuple[datetime, datetime, timedelta] | None:
        """From where to where it leapt, and how long that is still doubted; None if steady."""
        now, at = self._clock(), self._elapsed()
        expected = self._believed + timedelta(seconds=at - self._looked_at)
        if now - expected <= LEAP:
            self._leapt_at = None
        elif self._leapt_at is None:
            self._leapt_at = at
        doubted = timedelta(0)
        if self._leapt_at is not None:
            doubted = BELIEVED_AFTER - timedelta(seconds=at - self._leapt_at)
        if doubted > timedelta(0):
            return expected, now, doubted
        # A clock that went back may come forward again.
        self._believed, self._looked_at, self._leapt_at = max(now, expected), at, None
        return None
