"""What an event may be now, and what became of a batch of them."""

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from dpdau.errors import BatchTooLargeError, EventsRefusedError
from dpdau.model.events import EventColumns, Refusal

__all__ = [
    "BYTE_ORDER_MARK",
    "MAX_LINE_BYTES",
    "TOO_LONG",
    "Decoded",
    "EventRules",
    "require_all",
    "require_size",
]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Some programs write it before UTF-8 text; it is skipped."""

MAX_LINE_BYTES = 1 << 20
"""Longer lines of NDJSON and CSV are refused, so that files are read in bounded memory."""

TOO_LONG = f"is longer than {MAX_LINE_BYTES:,} bytes"


@dataclass(frozen=True, slots=True)
class EventRules:
    """What is accepted at this moment.

    Attributes:
        timezone: the zone in which a timestamp's day is taken.
        first_day: the first day that an event may carry.
        last_day: the last day that an event may carry.
        erase_by_default: whether a "-" without a scope erases the whole person.
        max_events: the most events of one body, or None for no limit; files have none.
    """

    timezone: ZoneInfo
    first_day: date
    last_day: date
    erase_by_default: bool
    max_events: int | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch, sorted into good and bad.

    Attributes:
        events: the well-formed events, in order of arrival.
        refusals: every other event's index in the batch and what is wrong with it.
    """

    events: EventColumns
    refusals: tuple[Refusal, ...]

    @property
    def size(self) -> int:
        """How many events there were, good and bad."""
        return len(self.events) + len(self.refusals)


def require_all(decoded: Decoded) -> EventColumns:
    """The events of a batch without a bad one.

    Raises:
        EventsRefusedError: with every bad event's index and reason, if there is one.
    """
    if decoded.refusals:
        refusals = [(refusal.index, refusal.reason) for refusal in decoded.refusals]
        raise EventsRefusedError(refusals, decoded.size)
    return decoded.events


def require_size(size: int, rules: EventRules, *, is_total: bool = True) -> None:
    """Pass if a body of so many events is allowed.

    Args:
        size: how many there are.
        rules: what is allowed.
        is_total: whether that is all, or there may be more.

    Raises:
        BatchTooLargeError: if they are too many.
    """
    if rules.max_events is not None and size > rules.max_events:
        stated = size if is_total else None
        raise BatchTooLargeError("events", stated, rules.max_events, "MAX_BATCH_EVENTS")
