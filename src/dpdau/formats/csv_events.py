"""CSV (RFC 4180): a header with the names of the fields, then one event a row.

Empty cells of day, ts and scope stand for absent fields. A cell may hold line breaks if it is
quoted, so a row may span several lines. Columns `metadata` and `metadata.…` are ignored.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain

from dpdau.errors import MalformedBodyError
from dpdau.formats.columns import Field, Misfit, RawColumns, Rows, judge, require_columns
from dpdau.formats.rules import (
    BYTE_ORDER_MARK,
    MAX_LINE_BYTES,
    TOO_LONG,
    Decoded,
    EventRules,
    require_size,
)

__all__ = ["csv_rows", "decode_csv"]

_BROKEN = (
    "is not valid CSV: a quote is not closed or not doubled, a carriage return stands alone, "
    "or a cell is longer than 131,072 characters"
)
_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_NO_EVENTS = RawColumns((), (), None)


def decode_csv(body: bytes, rules: EventRules) -> Decoded:
    """Decode a header and rows; blank lines are skipped and not counted.

    Raises:
        MalformedBodyError: if there is no header, or not one of events.
        BatchTooLargeError: if there are more events than the rules allow.
    """
    lines = body.split(b"\n")
    if not lines[-1]:
        lines.pop()
    columns = next((rows.columns for rows in csv_rows([lines])), _NO_EVENTS)
    require_size(len(columns.user_ids), rules)
    return judge(columns, rules)


def csv_rows(pieces: Iterable[list[bytes]]) -> Iterator[Rows]:
    """Read a header and rows; blank lines are skipped.

    Args:
        pieces: consecutive lines, without their line feeds.

    Yields:
        The rows that begin in each piece.

    Raises:
        MalformedBodyError: if there is no header, or not one of events.
    """
    source = _Lines(pieces)
    names = _header(next(source.one_by_one(), b"").removeprefix(BYTE_ORDER_MARK))
    lines_read = 1
    while piece := source.piece():
        first = lines_read + 1
        cells = _plain_rows(piece, len(names))
        if cells is None:
            yield (rows := _rows_one_by_one(piece, source, names, first))
            lines_read = rows.lines_read
        else:
            lines_read += len(piece)
            columns = _columns(names, cells, {})
            yield Rows(columns, range(first, lines_read + 1), partial(_text_of, piece), lines_read)


class _Lines:
    """Lines that come in pieces, where a row may begin in one piece and end in the next."""

    def __init__(self, pieces: Iterable[list[bytes]]) -> None:
        self._pieces = iter(pieces)
        self._rest: Iterator[bytes] = iter(())

    def piece(self) -> list[bytes]:
        """What is left of the current piece, or else the next one; empty at the end."""
        return list(self._rest) or next(self._pieces, [])

    def one_by_one(self) -> Iterator[bytes]:
        """Line after line, over all pieces; what is not taken stays for later."""
        yield from self._rest
        for piece in self._pieces:
            self._rest = iter(piece)
            yield from self._rest


def _header(line: bytes) -> list[str]:
    try:
        names = next(csv.reader([line.decode()], strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise MalformedBodyError("CSV", "the header on its first line is unreadable") from error
    names = [name.strip() for name in names]
    require_columns(names, "CSV")
    return names


# --- one row a line ------------------------------------------------------------------------


def _plain_rows(lines: list[bytes], width: int) -> list[list[str]] | None:
    """The cells of one row a line, or None if it is not as simple as that."""
    if max(map(len, lines)) > MAX_LINE_BYTES:
        return None
    try:
        rows = list(csv.reader(b"\n".join(lines).decode().split("\n"), strict=True))
    except (csv.Error, UnicodeDecodeError):
        return None
    return rows if len(rows) == len(lines) and set(map(len, rows)) == {width} else None


# --- rows that are broken or span lines ----------------------------------------------------


def _rows_one_by_one(piece: list[bytes], source: _Lines, names: Sequence[str], first: int) -> Rows:
    """The rows that begin in a piece, whose first line has this number."""
    taken: list[bytes] = []
    cells: list[list[str]] = []
    faults: dict[int, str] = {}
    line_numbers: list[int] = []
    texts: list[bytes] = []
    reader = csv.reader(_fed(chain(piece, source.one_by_one()), taken), strict=True)
    while len(taken) < len(piece):
        start = len(taken)
        row = _next_row(reader, len(names))
        lines = taken[start:]
        if not any(map(bytes.strip, lines)):
            continue
        if max(map(len, lines)) > MAX_LINE_BYTES:
            row = TOO_LONG
        if isinstance(row, str):
            faults[len(cells)] = row
            row = [""] * len(names)
        cells.append(row)
        line_numbers.append(first + start)
        texts.append(b"\n".join(lines))
    columns = _columns(names, cells, faults)
    return Rows(columns, line_numbers, partial(_text_of, texts), first - 1 + len(taken))


def _fed(lines: Iterable[bytes], taken: list[bytes]) -> Iterator[str]:
    """The lines as text, noting which have been taken; what is no UTF-8 becomes surrogates."""
    for line in lines:
        taken.append(line)
        yield "\n" if len(line) > MAX_LINE_BYTES else line.decode(errors="surrogateescape") + "\n"


def _next_row(reader: Iterator[list[str]], width: int) -> list[str] | str:
    """The cells of a row, or why it has none."""
    try:
        row = next(reader)
    except csv.Error:
        return _BROKEN
    return row if len(row) == width else f"has {len(row)} cells; the header has {width}"


def _text_of(texts: Sequence[bytes], index: int) -> str:
    return texts[index].decode(errors="backslashreplace")


# --- cells to fields -----------------------------------------------------------------------


def _columns(
    names: Sequence[str], rows: Sequence[Sequence[str]], faults: dict[int, str]
) -> RawColumns:
    if not rows:
        return _NO_EVENTS
    cells = dict(zip(names, zip(*rows, strict=True), strict=True))
    timestamps = cells.get("ts")
    return RawColumns(
        user_ids=_user_ids(cells["user_id"]),
        ops=cells["op"],
        days=_filled(cells.get("day")),
        timestamps=None if timestamps is None else [_timestamp(text) for text in timestamps],
        scopes=_filled(cells.get("scope")),
        faults=faults,
    )


def _user_ids(texts: Sequence[str]) -> Sequence[Field]:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return [text if _is_text(text) else Misfit("not UTF-8 text") for text in texts]
    return texts


def _is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _filled(texts: Sequence[str] | None) -> Sequence[Field] | None:
    if texts is None or "" not in texts:
        return texts
    return [text or None for text in texts]


def _timestamp(text: str) -> Field:
    if not _NUMBER.fullmatch(text):
        return text or None
    return int(text) if text.removeprefix("-").isdecimal() else float(text)
