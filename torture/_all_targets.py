"""Every target of the fuzzers, and one with a fault in it by which the fuzzers are tested."""

from _event_targets import EVENT_TARGETS
from _record_targets import RECORD_TARGETS
from _targets import Target

__all__ = ["PLANTED", "TARGETS"]

TARGETS = EVENT_TARGETS + RECORD_TARGETS


def _faulty(data: bytes) -> None:
    """Fail for one word only, which is not found by chance but letter by letter."""
    found = 0
    for letter, expected in zip(data, b"dpdau", strict=False):
        if letter != expected:
            break
        found += 1
    if found == 1 or found == 2 or found == 3 or found == 4:  # noqa: PLR1714, PLR2004
        return
    if found == 5:  # noqa: PLR2004
        raise KeyError("planted")


PLANTED = Target("planted", "a reader with a fault in it", _faulty, lambda: [b"d"])
