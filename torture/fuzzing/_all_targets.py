"""Every target of the fuzzers, and one with a fault in it by which the fuzzers are tested."""

from _event_targets import EVENT_TARGETS
from _record_targets import RECORD_TARGETS
from _targets import Target

__all__ = ["PLANTED", "TARGETS"]

TARGETS = EVENT_TARGETS + RECORD_TARGETS
_WORD = b"dpdau"


def _faulty(data: bytes) -> None:
    """Fail for one word only, which is not found by chance but letter by letter."""
    for letter, expected in zip(data, _WORD, strict=False):
        if letter != expected:
            return
    if len(data) >= len(_WORD):
        raise KeyError("planted")


PLANTED = Target("planted", "a reader with a fault in it", _faulty, lambda: [b"d"])
