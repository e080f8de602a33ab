"""What several tests share: a clock that stands still, builders, and a brute-force oracle."""

from support.builders import EXACT, FakeClock, application, columns
from support.oracle import Event, Oracle

__all__ = ["EXACT", "Event", "FakeClock", "Oracle", "application", "columns"]
