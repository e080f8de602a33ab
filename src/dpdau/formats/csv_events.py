"""CSV (RFC 4180): a header with the names of the fields, then one event a row.

Empty cells of day, ts and scope stand for absent fields. A cell may hold line breaks if it is
quoted, so a row may span several lines. Columns `metadata` and `metadata.…` are ignored.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Self, TypeAlias

from dpdau.errors import MalformedBodyError
from dpdau.formats.columns import (
    FIELDS,
    Field,
    Misfit,
    RawColumns,
    Rows,
    joined,
    judge,
    require_columns,
)
from dpdau.formats.csv_columns import split_columns
from dpdau.formats.folding import folded
from dpdau.formats.pieces import PIECE_LINES, cut, text_of, texts_of
from dpdau.formats.rules import (
    BYTE_ORDER_MARK,
    MAX_LINE_BYTES,
    TOO_LONG,
    Decoded,
    EventRules,
    require_size,
)
from dpdau.model.texts import FoldedColumn

__all__ = ["csv_rows", "decode_csv"]

_BROKEN = (
    "is not valid CSV: a quote is not closed or not doubled, a carriage return stands alone, "
    "or a cell is longer than 131,072 characters"
)
_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?", re.ASCII)
_NO_FAULTS: Mapping[int, str] = {}
_PART_ROWS = 500

_Cells: TypeAlias = Mapping[str, Sequence[str]]
"""By the name of a field, its cells."""


def decode_csv(body: bytes, rules: EventRules) -> Decoded:
    """Decode a header and rows; blank lines are skipped and not counted.

    Raises:
        MalformedBodyError: if there is no header, or not one of events.
        BatchTooLargeError: if there are more events than the rules allow.
    """
    parts: list[RawColumns] = []
    size = 0
    # A blank line at the end would make the rows before it be read one by one.
    for rows in csv_rows(cut(body.removesuffix(b"\n"))):
        size += len(rows.line_numbers)
        require_size(size, rules, is_total=False)
        parts.append(rows.columns)
    return judge(joined(parts), rules)


def csv_rows(pieces: Iterable[bytes]) -> Iterator[Rows]:
    """Read a header and rows; blank lines are skipped.

    Args:
        pieces: consecutive lines, without the line feed between one piece and the next.

    Yields:
        The rows that begin in each piece.

    Raises:
        MalformedBodyError: if there is no header, or not one of events.
    """
    source = _Lines(pieces)
    names = _header(next(source.one_by_one(), b"").removeprefix(BYTE_ORDER_MARK))
    lines_read = 1
    while (piece := source.piece()) is not None:
        # Of fewer lines, strings cost less than arrays.
        is_long = piece.count(b"\n") >= PIECE_LINES
        cells = _many_cells(piece, names) if is_long else _plain_cells(piece, names)
        if cells is None and is_long:
            source.put_back(cut(piece))
            continue
        if cells is None:
            rows = _rows_one_by_one(piece.split(b"\n"), source, names, lines_read)
        else:
            end = lines_read + len(cells["user_id"])
            rows = Rows(_columns(cells), range(lines_read + 1, end + 1), texts_of(piece), end)
        lines_read = rows.lines_read
        yield rows


class _Lines:
    """Lines that come in pieces, where a row may begin in one piece and end in the next."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest: Iterator[bytes] = iter(())

    def piece(self) -> bytes | None:
        """What is left of the current piece, or else the next one; None at the end."""
        rest = list(self._rest)
        return b"\n".join(rest) if rest else next(self._pieces, None)

    def put_back(self, parts: Iterable[bytes]) -> None:
        """Let the piece that was taken last come again in parts."""
        self._pieces = chain(parts, self._pieces)

    def one_by_one(self) -> Iterator[bytes]:
        """Line after line, over all pieces; what is not taken stays for later."""
        yield from self._rest
        for piece in self._pieces:
            self._rest = iter(piece.split(b"\n"))
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


def _many_cells(piece: bytes, names: Sequence[str]) -> _Cells | None:
    """The cells of one row a line without quotes, or None if it is not as simple as that."""
    columns = split_columns(piece, names)
    if columns is None:
        return None
    return {
        name: column if name == "user_id" else folded(column) or list(column)
        for name, column in columns.items()
        if name in FIELDS and name != "metadata"
    }


def _plain_cells(piece: bytes, names: Sequence[str]) -> _Cells | None:
    """The cells of one row a line, or None if it is not as simple as that."""
    if len(piece) > MAX_LINE_BYTES and max(map(len, piece.split(b"\n"))) > MAX_LINE_BYTES:
        return None
    try:
        text = piece.decode()
        cells = _split_cells(text, names)
        if cells is not None:
            return cells
        lines = text.split("\n")
        return _gathered(csv.reader(lines, strict=True), names, len(lines))
    except (csv.Error, UnicodeDecodeError):
        return None


def _split_cells(text: str, names: Sequence[str]) -> _Cells | None:
    """The cells of rows without quotes, or None if some row may be something else."""
    text = text.removesuffix("\r").replace("\r\n", "\n")
    if '"' in text or "\r" in text:
        return None
    # A cell of its own stands between rows, so that it shows if one is longer or shorter.
    cells = text.replace("\n", ",\n,").split(",")
    stride, rows = len(names) + 1, text.count("\n") + 1
    if len(cells) != rows * stride - 1 or cells[stride - 1 :: stride].count("\n") != rows - 1:
        return None
    limit = csv.field_size_limit()
    if len(text) > limit and max(map(len, cells)) > limit:
        return None
    return {name: cells[start::stride] for start, name in enumerate(names) if name in FIELDS}


def _gathered(reader: Iterator[list[str]], names: Sequence[str], rows: int) -> _Cells | None:
    wanted = [(name, position) for position, name in enumerate(names) if name in FIELDS]
    cells: dict[str, list[str]] = {name: [] for name, _ in wanted}
    # A few rows at a time: a list a row is what Python's garbage collector minds.
    while part := list(islice(reader, _PART_ROWS)):
        if not {len(names)}.issuperset(map(len, part)):
            return None
        columns = list(zip(*part, strict=True))
        for name, position in wanted:
            cells[name] += columns[position]
    return cells if len(cells["user_id"]) == rows else None


# --- rows that are broken or span lines ----------------------------------------------------


def _rows_one_by_one(
    piece: list[bytes], source: _Lines, names: Sequence[str], lines_read: int
) -> Rows:
    """The rows that begin in a piece, before which so many lines have been read."""
    cells: dict[str, list[str]] = {name: [] for name in names}
    faults: dict[int, str] = {}
    line_numbers: list[int] = []
    texts: list[bytes] = []
    feed = _Feed(chain(piece, source.one_by_one()))
    reader = csv.reader(feed, strict=True)
    while feed.taken < len(piece):
        feed.row = []
        row = _next_row(reader, len(names))
        if row is None:
            break
        if max(map(len, feed.row)) > MAX_LINE_BYTES:
            row = TOO_LONG
        if isinstance(row, str):
            faults[len(texts)] = row
            row = [""] * len(names)
        for name, cell in zip(names, row, strict=True):
            cells[name].append(cell)
        line_numbers.append(lines_read + feed.taken - len(feed.row) + 1)
        texts.append(b"\n".join(feed.row))
    columns = _columns(cells, faults)
    columns = replace(columns, user_ids=_user_ids(cells["user_id"]))
    return Rows(columns, line_numbers, partial(text_of, texts), lines_read + feed.taken)


class _Feed:
    """Gives lines as text to `csv.reader`, without the blank ones between rows.

    Attributes:
        taken: how many lines have been taken, blank ones included.
        row: the lines of the current row; to be emptied before the next one.
    """

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self.taken = 0
        self.row: list[bytes] = []

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.taken += 1
        while not self.row and (not line or line.isspace()):
            line = next(self._lines)
            self.taken += 1
        self.row.append(line)
        # What is no UTF-8 becomes surrogates; of what is too long nothing is parsed.
        return "\n" if len(line) > MAX_LINE_BYTES else line.decode(errors="surrogateescape") + "\n"


def _next_row(reader: Iterator[list[str]], width: int) -> list[str] | str | None:
    """The cells of a row, or why it has none, or None at the end."""
    try:
        row = next(reader, None)
    except csv.Error:
        return _BROKEN
    if row is None or len(row) == width:
        return row
    return f"has {len(row)} cells; the header has {width}"


# --- cells to fields -----------------------------------------------------------------------


def _columns(cells: _Cells, faults: Mapping[int, str] = _NO_FAULTS) -> RawColumns:
    timestamps = cells.get("ts")
    return RawColumns(
        user_ids=cells["user_id"],
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
    if isinstance(texts, FoldedColumn):
        return FoldedColumn([text or None for text in texts.values], texts.codes)
    if texts is None or "" not in texts:
        return texts
    return [text or None for text in texts]


def _timestamp(text: str) -> Field:
    if not _NUMBER.fullmatch(text):
        return text or None
    return int(text) if text.removeprefix("-").isdecimal() else float(text)
