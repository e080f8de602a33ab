"""A cradle for the machine: months pass in a second, and strategies are designed beforehand.

Run: python _nursery.py [RUNS:DAYS ...]

RUNS:DAYS are presence sets, 0 RUNS for no limit, whose strategy takes seconds to design and is
inherited by every process.
"""

import sys
from datetime import timedelta

import _cradle
from dpdau.pipeline import leaps

__all__: list[str] = []


def _design() -> None:
    from dpdau.privacy.strategy import Presence, make_plan  # noqa: PLC0415 - clocks come before

    for presence in sys.argv[1:]:
        runs, days = map(int, presence.split(":"))
        make_plan(days, Presence.of(days, runs or None), epsilon=1.0, delta=1e-6)


if __name__ == "__main__":
    # The others take it from its module when they are imported. tests/e2e/faults/test_clock.py has
    # clocks that leap.
    leaps.BELIEVED_AFTER = timedelta(0)
    _cradle.main(_design)
