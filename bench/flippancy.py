"""How long the flippancy limiter takes to close a day.

Ten million users with Roaring bitmaps, and a rival that does the same with plain Python sets on
a tenth of that, both in seconds per million users. Presence is a fixed pseudo-random pattern.

Run: python bench/flippancy.py
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
from pyroaring import BitMap
from rich.console import Console
from rich.table import Table

from dpdau.privacy.flippancy import LimiterState

RUNS = 2
DAYS = 6
USERS = 10_000_000
RIVAL_USERS = 1_000_000


def presence(users: int) -> Iterator[BitMap]:
    """Half of the users each day, another half every day, by a multiplicative hash."""
    indices = np.arange(users, dtype=np.uint64)
    for day in range(1, DAYS + 1):
        mixed = (indices + np.uint64(day << 32)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        yield BitMap(np.flatnonzero(mixed >> np.uint64(63)).astype(np.uint32))


class SetLimiter:
    """The limiter with plain sets and a dictionary of rises."""

    def __init__(self) -> None:
        self._current: set[int] = set()
        self._rises: dict[int, int] = {}

    def advance(self, present: set[int]) -> set[int]:
        """Close one day."""
        counted = self._current & present
        for user in present - self._current:
            rises = self._rises.get(user, 0)
            if rises < RUNS:
                self._rises[user] = rises + 1
                counted.add(user)
        self._current = counted
        return counted


def slowest(days: Iterator[BitMap], close: Callable[[BitMap], object]) -> float:
    """Seconds of the slowest day."""
    seconds = []
    for present in days:
        start = time.perf_counter()
        close(present)
        seconds.append(time.perf_counter() - start)
    return max(seconds)


def with_bitmaps() -> float:
    """Seconds per day, with the state read from and written to bytes, as in a publication."""
    state = LimiterState.empty(RUNS).to_bytes()

    def close(present: BitMap) -> None:
        nonlocal state
        state = LimiterState.from_bytes(state).advance(present).state.to_bytes()

    return slowest(presence(USERS), close)


def with_sets() -> float:
    """Seconds per day of the rival, without any storage."""
    rival = SetLimiter()
    sets = [set(bitmap) for bitmap in presence(RIVAL_USERS)]
    seconds = []
    for present in sets:
        start = time.perf_counter()
        rival.advance(present)
        seconds.append(time.perf_counter() - start)
    return max(seconds)


def main() -> None:
    """Print the table."""
    bitmaps, sets = with_bitmaps(), with_sets()
    per_million = bitmaps / USERS * 1e6, sets / RIVAL_USERS * 1e6
    table = Table(title="Closing one day in the flippancy limiter, slowest day")
    for column in ("limiter", "users", "seconds", "ms per million users"):
        table.add_column(column, justify="left" if column == "limiter" else "right")
    table.add_row(
        "bitmaps, with storage", f"{USERS:,}", f"{bitmaps:.4f}", f"{per_million[0] * 1e3:.2f}"
    )
    table.add_row("plain sets", f"{RIVAL_USERS:,}", f"{sets:.4f}", f"{per_million[1] * 1e3:.2f}")
    console = Console()
    console.print(table)
    console.print(f"ratio per user: {per_million[1] / per_million[0]:,.0f}")


if __name__ == "__main__":
    main()
