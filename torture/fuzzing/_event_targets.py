"""Fuzz targets that read events: bodies by media type, files by ending, content encodings.

Where a second opinion can be had it is asked: Python's own `json`, `csv` and `gzip` modules must
accept what the decoders accept, the same events must be read alike from every format, and a text
must be read alike wherever it is cut.
"""

import csv
import gzip
import io
import json
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from _event_samples import (
    PLAIN_TEXT,
    arrow_seeds,
    body_seeds,
    document,
    encoded,
    encoding_seeds,
    file_of,
    file_seeds,
    ndjson,
    parquet_of,
    stream_of,
    table_text,
    tables,
)
from _targets import Target, folder, refusing_clearly, require
from dpdau.errors import DpdauError, MalformedBodyError
from dpdau.formats import (
    FILE_SUFFIXES,
    MEDIA_TYPES,
    Decoded,
    EventRules,
    decode_body,
    decode_csv,
    decode_json,
    decode_ndjson,
    decompress,
    read_file,
)
from dpdau.formats.arrow_events import arrow_rows, decode_arrow, parquet_rows
from dpdau.formats.columns import Rows, joined, judge
from dpdau.formats.csv_events import csv_rows
from dpdau.formats.days import day_reader
from dpdau.formats.encodings import inflate
from dpdau.formats.json_events import json_rows
from dpdau.formats.pieces import cut, pieces_of
from dpdau.formats.rules import BYTE_ORDER_MARK, MAX_LINE_BYTES
from dpdau.model.events import MAX_USER_ID_BYTES, EventColumns

__all__ = ["EVENT_TARGETS"]

_RULES = EventRules(
    timezone=ZoneInfo("Europe/Berlin"),
    first_day=date(2025, 1, 1),
    last_day=date(2026, 12, 31),
    erase_by_default=False,
    max_events=10_000,
)
_MOST_BYTES = 1 << 20
_FIELDS = {"user_id", "op", "day", "ts", "scope", "metadata"}
_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?")
_Row = tuple[str, int, bool, bool]


# --- promises of all decoders --------------------------------------------------------------


def _keeps_its_promises(decoded: Decoded) -> None:
    events, refusals = decoded.events, decoded.refusals
    require(decoded.size == len(events) + len(refusals), "some events are neither good nor bad")
    positions = [refusal.index for refusal in refusals]
    require(positions == sorted(set(positions)), "refusals are out of order or there twice")
    require(all(0 <= each < decoded.size for each in positions), "a refusal is of no event")
    require(all(refusal.reason for refusal in refusals), "a refusal has no reason")
    for user_id in events.user_ids:
        require(isinstance(user_id, str), "a user id is no text")
        require(1 <= len(user_id.encode()) <= MAX_USER_ID_BYTES, "a user id has an unfit length")
    first, last = _RULES.first_day.toordinal(), _RULES.last_day.toordinal()
    require(all(first <= day <= last for day in events.days.tolist()), "a day is out of range")
    require(not (events.adds & events.whole_user).any(), 'a "+" erases someone')


def _rows_of(events: EventColumns) -> list[_Row]:
    columns = (events.days.tolist(), events.adds.tolist(), events.whole_user.tolist())
    return list(zip(events.user_ids, *columns, strict=True))


def _outcome(decode: Callable[[], Decoded]) -> tuple[list[_Row], list[int]] | None:
    """Good events and the positions of bad ones, or None if the whole is refused."""
    try:
        decoded = decode()
    except DpdauError:
        return None
    return _rows_of(decoded.events), [refusal.index for refusal in decoded.refusals]


def _bodies(data: bytes) -> None:
    media_type = MEDIA_TYPES[data[0] % len(MEDIA_TYPES)] if data else MEDIA_TYPES[0]
    with refusing_clearly():
        _keeps_its_promises(decode_body(media_type, data[1:], _RULES))


# --- second opinions -----------------------------------------------------------------------


def _json(data: bytes) -> None:
    """What is accepted as JSON is JSON, and its events are those that `json` finds."""
    found = _outcome(lambda: decode_json(data, _RULES))
    if found is None:
        return
    try:
        document = json.loads(data.removeprefix(BYTE_ORDER_MARK).decode(errors="surrogateescape"))
    except RecursionError:
        return
    require(isinstance(document, dict) and document.keys() == {"events"}, "the shape is another")
    _are_the_same(found, [_judged(event) for event in document["events"]])


def _lines(data: bytes) -> None:
    """A line of NDJSON is what it would be as the only event of a JSON document."""
    found = _outcome(lambda: decode_ndjson(data, _RULES))
    if found is None:
        return
    expected: list[_Row | None] = []
    for line in data.removeprefix(BYTE_ORDER_MARK).split(b"\n"):
        if line and not line.isspace():
            alone = _outcome(partial(decode_json, b'{"events":[%s]}' % line, _RULES))
            rows, refused = alone if alone is not None else ([], [0])
            require(len(rows) + len(refused) <= 1 or b"," in line, "a line holds several events")
            expected.append(rows[0] if len(rows) == 1 and not refused else None)
    _are_the_same(found, expected)


def _csv(data: bytes) -> None:
    """The events of a table are those in the cells that `csv` finds."""
    found = _outcome(lambda: decode_csv(data, _RULES))
    try:
        lines = data.removeprefix(BYTE_ORDER_MARK).decode().split("\n")
        names = [name.strip() for name in next(csv.reader(lines[:1], strict=True))]
        table = list(csv.reader((line + "\n" for line in lines[1:]), strict=True))
    except (csv.Error, UnicodeDecodeError, StopIteration):
        return
    if found is None or max(map(len, lines)) > MAX_LINE_BYTES // 4:
        return
    expected: list[_Row | None] = []
    for row in table:
        blank = "".join(row).encode().isspace() and len(row) == 1 and "\n" not in row[0]
        if row and not blank:
            cells = dict(zip(names, row, strict=False)) if len(row) == len(names) else None
            expected.append(None if cells is None else _judged(_event_of(cells)))
    _are_the_same(found, expected)


def _event_of(cells: Mapping[str, str]) -> dict[str, Any]:
    event: dict[str, Any] = {name: cells[name] for name in _FIELDS & cells.keys() - {"metadata"}}
    for name in ("day", "ts", "scope"):
        event[name] = event.get(name) or None
    if event["ts"] is not None and _NUMBER.fullmatch(event["ts"]):
        event["ts"] = float(event["ts"]) if re.search("[.eE]", event["ts"]) else int(event["ts"])
    return event


def _judged(event: Any) -> _Row | None:
    """An event by the words of the reference, written anew; None if it is a bad one."""
    if not isinstance(event, dict) or not event.keys() <= _FIELDS:
        return None
    user_id, op, scope = event.get("user_id"), event.get("op"), event.get("scope")
    day, timestamp = event.get("day"), event.get("ts")
    ordinal = _day_of(day) if timestamp is None else _day_of_timestamp(timestamp)
    if not isinstance(user_id, str) or ordinal is None:
        return None
    is_good = (
        _is_fit(user_id)
        and op in ("+", "-")
        and (scope is None or (op == "-" and scope in ("day", "user")))
        and isinstance(event.get("metadata"), dict | None)
        and (day is None or timestamp is None)
    )
    return (user_id, ordinal, op == "+", scope == "user") if is_good else None


def _is_fit(user_id: str) -> bool:
    try:
        return 1 <= len(user_id.encode()) <= MAX_USER_ID_BYTES
    except UnicodeEncodeError:
        return False


def _day_of(day: Any) -> int | None:
    if not isinstance(day, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", day):
        return None
    with suppress(ValueError):
        found = date(*map(int, day.split("-")))
        if _RULES.first_day <= found <= _RULES.last_day:
            return found.toordinal()
    return None


def _day_of_timestamp(timestamp: Any) -> int | None:
    if isinstance(timestamp, bool) or not isinstance(timestamp, str | int | float):
        return None
    if isinstance(timestamp, float) and not math.isfinite(timestamp):
        return None
    ordinal = day_reader(_RULES).of_timestamp(timestamp)
    return ordinal if isinstance(ordinal, int) else None


def _are_the_same(found: tuple[list[_Row], list[int]], expected: Sequence[_Row | None]) -> None:
    rows, refused = found
    require(rows == [row for row in expected if row is not None], "other events are accepted")
    require(
        refused == [index for index, row in enumerate(expected) if row is None],
        "other events are refused",
    )


# --- one text, cut anywhere ----------------------------------------------------------------


def _pieces(data: bytes) -> None:
    """Text is read alike as a whole, in pieces of any size, and from blocks cut anywhere."""
    readers: Sequence[Callable[[Iterable[bytes]], Iterator[Rows]]] = (csv_rows, json_rows)
    read, size, text = readers[data[:1] == b"j"], 1 + (data[1] if len(data) > 1 else 0), data[2:]
    blocks = [text[start : start + size] for start in range(0, len(text), size)]
    whole = _read_rows(read, cut(text))
    for pieces in (cut(text, 1), cut(text, 3), pieces_of(blocks, 2), pieces_of([text], 5_000)):
        require(_read_rows(read, pieces) == whole, "a text is read otherwise in pieces")


def _read_rows(read: Callable[[Iterable[bytes]], Iterator[Rows]], pieces: Iterator[bytes]) -> Any:
    rows: list[Rows] = []
    try:
        rows.extend(read(pieces))
    except MalformedBodyError as error:
        return error.reason
    numbers = [number for each in rows for number in each.line_numbers]
    # A quote that is never closed takes all that follows, of which the last line feed is no part.
    texts = [
        each.text_of(row).rstrip("\n") for each in rows for row in range(len(each.line_numbers))
    ]
    if not numbers:  # in a piece without any event or in no piece at all
        return None
    decoded = judge(joined([each.columns for each in rows]), _RULES)
    _keeps_its_promises(decoded)
    return numbers, texts, _rows_of(decoded.events), decoded.refusals


# --- the same events in every format -------------------------------------------------------


def _formats(data: bytes) -> None:
    """Events that one format holds are the same in every other."""
    found = _outcome(lambda: decode_json(data, _RULES))
    if found is None or not found[0]:
        return
    rows = found[0]
    events = [_written(*row) for row in rows]
    table = pa.Table.from_pylist(events, pa.schema([(name, pa.string()) for name in events[0]]))
    folded = pa.table(
        [each.combine_chunks().dictionary_encode() for each in table.columns], table.column_names
    )
    text = io.StringIO()
    writer = csv.DictWriter(text, list(events[0]), lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(events)
    again = {
        "NDJSON": lambda: decode_ndjson(b"\n".join(map(encoded, events)), _RULES),
        "CSV": lambda: decode_csv(text.getvalue().encode(), _RULES),
        "Arrow": lambda: decode_arrow(stream_of(table), _RULES),
        "Arrow with dictionaries": lambda: decode_arrow(stream_of(folded), _RULES),
    }
    for name, decode in again.items():
        require(_outcome(decode) == (rows, []), f"{name} holds other events")
    for name, source, reader in (
        ("an Arrow file", file_of(folded), arrow_rows),
        ("Parquet", parquet_of(table), parquet_rows),
    ):
        columns = joined([each.columns for each in reader(io.BytesIO(source), 3)])
        read = judge(columns, _RULES)
        require((_rows_of(read.events), read.refusals) == (rows, ()), f"{name} holds other events")


def _written(user_id: str, day: int, add: bool, whole_user: bool) -> dict[str, str | None]:  # noqa: FBT001
    return {
        "user_id": user_id,
        "op": "+" if add else "-",
        "day": date.fromordinal(day).isoformat(),
        "scope": "user" if whole_user else None,
    }


# --- bytes that claim to be something ------------------------------------------------------


def _arrow(data: bytes) -> None:
    with refusing_clearly():
        _keeps_its_promises(decode_arrow(data, _RULES))
    with refusing_clearly():
        for rows in arrow_rows(io.BytesIO(data), 7):
            _keeps_its_promises(judge(rows.columns, replace(_RULES, max_events=None)))


def _parquet(data: bytes) -> None:
    with refusing_clearly():
        for rows in parquet_rows(io.BytesIO(data), 7):
            _keeps_its_promises(judge(rows.columns, _RULES))


def _encodings(data: bytes) -> None:
    """What comes out is bounded, is the same by pieces, and is what `gzip` finds too."""
    encoding = ("gzip", "zstd", "identity", "br")[data[0] % 4] if data else None
    body = data[1:]
    with refusing_clearly():
        whole = decompress(body, encoding, _MOST_BYTES)
        require(len(whole) <= _MOST_BYTES, "more came out than is allowed")
        if encoding == "gzip":
            with suppress(EOFError, OSError, zlib.error):
                require(gzip.decompress(body) == whole, "gzip finds something else")
        if encoding in ("gzip", "zstd"):
            blocks = [body[start : start + 5] for start in range(0, len(body), 5)]
            pieces = inflate(blocks, "gzip" if encoding == "gzip" else "zstd")
            require(b"".join(pieces) == whole, "it is undone otherwise in pieces")


def _files(data: bytes) -> None:
    suffixes = [suffix for suffix in FILE_SUFFIXES if suffix != ".parquet"]
    suffix = suffixes[data[0] % len(suffixes)] if data else ".csv"
    path = folder() / f"events{suffix}"
    path.write_bytes(data[1:])
    with refusing_clearly():
        seen = 0
        for chunk in read_file(path, _RULES, 5):
            require(chunk.bytes_read >= seen, "a file is read backwards")
            seen = chunk.bytes_read
            for line in chunk.refused_lines:
                require(line.line_number >= 1, "a refused line has no number")
                line.text.encode()


EVENT_TARGETS = (
    Target("bodies", "bodies of events, by media type", _bodies, body_seeds),
    Target("json", "JSON, against Python's json", _json, lambda: [document()]),
    Target("ndjson", "lines, against a document each", _lines, lambda: [ndjson()]),
    Target("csv", "CSV, against Python's csv", _csv, lambda: [table_text(), PLAIN_TEXT]),
    Target(
        "pieces",
        "text that is cut anywhere",
        _pieces,
        lambda: [b"c\4" + table_text(), b"c\1" + PLAIN_TEXT, b"j\7" + ndjson()],
    ),
    Target("formats", "the same events in every format", _formats, lambda: [document()]),
    Target("arrow", "Arrow streams and files", _arrow, arrow_seeds),
    Target("parquet", "Parquet files", _parquet, lambda: [*map(parquet_of, tables())]),
    Target("encodings", "gzip and zstd, against gzip", _encodings, encoding_seeds),
    Target("files", "files of events, by ending", _files, file_seeds),
)
