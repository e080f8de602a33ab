"""JSON documents and lines.

The whole input is first decoded at once into typed structs, which takes about a quarter of a
microsecond an event. Only when that fails is every event decoded by itself, to find all faults.
Of a field given twice the last counts, as in most JSON readers; null stands for an absent field.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Final, Literal, TypeAlias

import msgspec
import numpy as np

from dpdau.errors import MalformedBodyError
from dpdau.formats.columns import UNKNOWN_FIELD, Field, Misfit, RawColumns, Rows, joined, judge
from dpdau.formats.pieces import LINE_FEED, cut, text_of, texts_of
from dpdau.formats.rules import (
    BYTE_ORDER_MARK,
    MAX_LINE_BYTES,
    TOO_LONG,
    Decoded,
    EventRules,
    require_size,
)

__all__ = ["decode_json", "decode_ndjson", "json_rows"]

_EXPECTED = (
    '{"events": [{"user_id": …, "op": …, "day": …}, …]} and nothing beside "events" '
    "(one event a line is application/x-ndjson)"
)
_ABSENT: Final = msgspec.Raw()
_OPENING, _CLOSING = b"{}"
_DECODE_ERRORS = (ValueError, RecursionError)


class _Event(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    user_id: str
    op: Literal["+", "-"]
    day: str | None = None
    ts: str | int | float | None = None
    scope: Literal["day", "user"] | None = None
    metadata: dict[str, msgspec.Raw] | None = None


class _PlainEvent(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What nearly all events are; with fewer fields they become columns in less time."""

    user_id: str
    op: Literal["+", "-"]
    day: str
    metadata: dict[str, msgspec.Raw] | None = None


class _RawEvent(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    user_id: msgspec.Raw = _ABSENT
    op: msgspec.Raw = _ABSENT
    day: msgspec.Raw = _ABSENT
    ts: msgspec.Raw = _ABSENT
    scope: msgspec.Raw = _ABSENT
    metadata: msgspec.Raw = _ABSENT


class _Batch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[_Event]


class _PlainBatch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[_PlainEvent]


class _RawBatch(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]


_Row: TypeAlias = tuple[Field, Field, Field, Field, Field]

_decode_plain_batch = msgspec.json.Decoder(_PlainBatch).decode
_decode_plain_lines = msgspec.json.Decoder(_PlainEvent).decode_lines
_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_raw_batch = msgspec.json.Decoder(_RawBatch).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_raw_event = msgspec.json.Decoder(_RawEvent).decode
_decode_scalar = msgspec.json.Decoder(str | int | float | None).decode


def decode_json(body: bytes, rules: EventRules) -> Decoded:
    """Decode `{"events": [...]}`.

    Raises:
        MalformedBodyError: if the body is not JSON, or not of this shape.
        BatchTooLargeError: if there are more events than the rules allow.
    """
    document = body.removeprefix(BYTE_ORDER_MARK)
    try:
        plain = _decode_plain_batch(document).events
    except _DECODE_ERRORS:
        return _decode_any_json(document, rules)
    require_size(len(plain), rules)
    return judge(_plain_columns(plain), rules)


def decode_ndjson(body: bytes, rules: EventRules) -> Decoded:
    """Decode one event a line; blank lines are skipped and not counted.

    Raises:
        BatchTooLargeError: if there are more events than the rules allow.
    """
    if rules.max_events is not None and body.count(b"\n") >= rules.max_events:
        require_size(sum(not _is_blank(line) for line in body.split(b"\n")), rules)
    return judge(joined([rows.columns for rows in json_rows(cut(body))]), rules)


def json_rows(pieces: Iterable[bytes]) -> Iterator[Rows]:
    """Read one event a line; blank lines are skipped.

    Args:
        pieces: consecutive lines, without the line feed between one piece and the next.
    """
    lines_read = 0
    for piece in pieces:
        text = piece if lines_read else piece.removeprefix(BYTE_ORDER_MARK)
        first = lines_read + 1
        columns = _plain_lines(text)
        if columns is None:
            lines = text.split(b"\n")
            lines_read += len(lines)
            yield _rows_of_lines(lines, first, lines_read)
        else:
            lines_read += len(columns.user_ids)
            yield Rows(columns, range(first, lines_read + 1), texts_of(text), lines_read)


def _plain_lines(text: bytes) -> RawColumns | None:
    """The columns of one plain event a line, or None if it is not as simple as that.

    The decoder does not mind where lines end, so this has to. A line feed with "}" before and
    "{" behind it can stand within no JSON value; so if there are as many values as lines, and
    all line feeds are like that, each line holds one value and no other.
    """
    octets = np.frombuffer(text, dtype=np.uint8)
    line_feeds = np.flatnonzero(octets == LINE_FEED)
    if len(text) > MAX_LINE_BYTES or text.endswith(b"\n"):
        return None
    if (octets[line_feeds - 1] != _CLOSING).any() or (octets[line_feeds + 1] != _OPENING).any():
        return None
    try:
        events = _decode_plain_lines(text)
    except _DECODE_ERRORS:
        return None
    return _plain_columns(events) if len(events) == len(line_feeds) + 1 else None


def _rows_of_lines(lines: list[bytes], first: int, lines_read: int) -> Rows:
    given = [(number, line) for number, line in enumerate(lines, first) if not _is_blank(line)]
    numbers, kept = [number for number, _ in given], [line for _, line in given]
    return Rows(_columns_of_lines(kept), numbers, partial(text_of, kept), lines_read)


def _is_blank(line: bytes) -> bool:
    return not line or line.isspace()


def _columns_of_lines(lines: Sequence[bytes]) -> RawColumns:
    if max(map(len, lines), default=0) <= MAX_LINE_BYTES:
        try:
            return _columns([*map(_decode_event, lines)])
        except _DECODE_ERRORS:
            pass
    return _columns_with_faults(lines, max_bytes=MAX_LINE_BYTES)


def _decode_any_json(document: bytes, rules: EventRules) -> Decoded:
    try:
        events = _decode_batch(document).events
    except (msgspec.ValidationError, UnicodeDecodeError):
        return _decode_json_with_faults(document, rules)
    except _DECODE_ERRORS as error:
        raise MalformedBodyError("JSON", _syntax_fault(error)) from error
    require_size(len(events), rules)
    return judge(_columns(events), rules)


def _plain_columns(events: list[_PlainEvent]) -> RawColumns:
    return RawColumns(
        user_ids=[event.user_id for event in events],
        ops=[event.op for event in events],
        days=[event.day for event in events],
    )


def _columns(events: list[_Event]) -> RawColumns:
    return RawColumns(
        user_ids=[event.user_id for event in events],
        ops=[event.op for event in events],
        days=[event.day for event in events],
        timestamps=[event.ts for event in events],
        scopes=[event.scope for event in events],
    )


# --- finding faults ------------------------------------------------------------------------


def _decode_json_with_faults(document: bytes, rules: EventRules) -> Decoded:
    try:
        events = _decode_raw_batch(document).events
    except msgspec.ValidationError as error:
        shape = "it is a bare list" if document.lstrip().startswith(b"[") else "its shape differs"
        raise MalformedBodyError("JSON", f"{shape}; expected {_EXPECTED}") from error
    except _DECODE_ERRORS as error:
        raise MalformedBodyError("JSON", _syntax_fault(error)) from error
    require_size(len(events), rules)
    return judge(_columns_with_faults([bytes(event) for event in events]), rules)


def _syntax_fault(error: Exception) -> str:
    """Where the syntax breaks, in words that hold nothing of the input."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    message = str(error).removeprefix("JSON is malformed: ")
    return "it ends early" if message == "Input data was truncated" else message


def _columns_with_faults(events: Sequence[bytes], max_bytes: int | None = None) -> RawColumns:
    faults: dict[int, str] = {}
    rows: list[_Row] = []
    for index, event in enumerate(events):
        is_too_long = max_bytes is not None and len(event) > max_bytes
        row = TOO_LONG if is_too_long else _fields(event)
        if isinstance(row, str):
            faults[index] = row
            row = (None, None, None, None, None)
        rows.append(row)
    return RawColumns(
        user_ids=[row[0] for row in rows],
        ops=[row[1] for row in rows],
        days=[row[2] for row in rows],
        timestamps=[row[3] for row in rows],
        scopes=[row[4] for row in rows],
        faults=faults,
    )


def _fields(event: bytes) -> _Row | str:
    """The fields of one event, or why it is none."""
    try:
        whole = _decode_event(event)
    except _DECODE_ERRORS:
        return _raw_fields(event)
    return (whole.user_id, whole.op, whole.day, whole.ts, whole.scope)


def _raw_fields(event: bytes) -> _Row | str:
    try:
        found = _decode_raw_event(event)
    except msgspec.ValidationError:
        if event.lstrip().startswith(b"{"):
            return UNKNOWN_FIELD
        return 'is not an object; expected {"user_id": …, "op": …, "day": …}'
    except _DECODE_ERRORS as error:
        return f"is not valid JSON: {_syntax_fault(error)}"
    if bytes(found.metadata)[:1] not in {b"", b"{", b"n"}:
        return "metadata is not an object"
    return (
        _scalar(found.user_id),
        _scalar(found.op),
        _scalar(found.day),
        _scalar(found.ts),
        _scalar(found.scope),
    )


def _scalar(raw: msgspec.Raw) -> Field:
    text = bytes(raw)
    if not text:
        return None
    kind = _KINDS.get(text[:1])
    if kind is not None:
        return kind
    try:
        value: str | float | None = _decode_scalar(text)
    except msgspec.ValidationError:
        return Misfit("a number out of range")
    except _DECODE_ERRORS:
        return Misfit("not UTF-8 text")
    return value


_KINDS = {
    b"{": Misfit("an object"),
    b"[": Misfit("a list"),
    b"t": Misfit("a boolean"),
    b"f": Misfit("a boolean"),
}
