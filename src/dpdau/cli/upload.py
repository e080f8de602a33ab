"""Files as requests: the events of a file on their way to a server, which judges them.

What no server could accept is refused here, with the words that it would use. All else is sent
as it stands in the file, since days that are accepted, the zone of timestamps and the meaning of
a "-" are the server's.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from dpdau.formats import EventRules, RefusedLine
from dpdau.formats.columns import RawColumns, Rows, judge
from dpdau.formats.files import read_rows

__all__ = ["Batch", "batches_of"]

_BATCH_EVENTS = 10_000
_ANY_DAY = EventRules(
    timezone=ZoneInfo("UTC"), first_day=date.min, last_day=date.max, erase_by_default=False
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Events for one request.

    Attributes:
        events: JSON objects, in the order of the file.
        refused_line: what becomes of the event at a position if the server refuses it.
        refused_lines: lines before or between them that are no events.
        bytes_read: how much of the file has been read by now.
    """

    events: Sequence[bytes]
    refused_line: Callable[[int, str], RefusedLine]
    refused_lines: Sequence[RefusedLine]
    bytes_read: int

    def body(self, start: int, end: int) -> bytes:
        """The events of these positions as NDJSON."""
        return b"\n".join(self.events[start:end])


def batches_of(path: Path) -> Iterator[Batch]:
    """Read a file piece by piece.

    Raises:
        FileUnreadableError: if the file is missing, in no known format, or damaged.
    """
    for rows, bytes_read in read_rows(path, _BATCH_EVENTS):
        yield _batch(rows, bytes_read)


def _batch(rows: Rows, bytes_read: int) -> Batch:
    reasons = {each.index: each.reason for each in judge(rows.columns, _ANY_DAY).refusals}
    sent = [index for index in range(len(rows.line_numbers)) if index not in reasons]

    def refused(index: int, reason: str) -> RefusedLine:
        return RefusedLine(rows.line_numbers[index], reason, rows.text_of(index))

    return Batch(
        events=[_event(rows.columns, index) for index in sent],
        refused_line=lambda position, reason: refused(sent[position], reason),
        refused_lines=[refused(index, reason) for index, reason in reasons.items()],
        bytes_read=bytes_read,
    )


def _event(columns: RawColumns, index: int) -> bytes:
    fields = {
        "user_id": columns.user_ids,
        "op": columns.ops,
        "day": columns.days,
        "ts": columns.timestamps,
        "scope": columns.scopes,
    }
    given = {name: values[index] for name, values in fields.items() if values is not None}
    return msgspec.json.encode({name: value for name, value in given.items() if value is not None})
