"""Files of events, read piece by piece in bounded memory."""

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias

from dpdau.errors import FileUnreadableError, MalformedBodyError
from dpdau.formats.columns import Rows, judge
from dpdau.formats.csv_events import csv_rows
from dpdau.formats.encodings import Compression, inflate
from dpdau.formats.json_events import json_rows
from dpdau.formats.pieces import COLUMN_ROWS, PIECE_LINES, pieces_of
from dpdau.formats.rules import EventRules
from dpdau.model.events import EventColumns

__all__ = ["FILE_SUFFIXES", "FileChunk", "RefusedLine", "file_size", "read_file", "read_rows"]

_BLOCK_BYTES = 4 << 20

_TextReader: TypeAlias = Callable[[Iterable[bytes]], Iterator[Rows]]

# With how many lines each reads at a time.
_TEXT_READERS: Mapping[str, tuple[_TextReader, int]] = {
    ".jsonl": (json_rows, PIECE_LINES),
    ".ndjson": (json_rows, PIECE_LINES),
    ".csv": (csv_rows, COLUMN_ROWS),
}
_TABLE_SUFFIXES = (".parquet", ".arrow")
_COMPRESSIONS: Mapping[str, Compression] = {".gz": "gzip", ".zst": "zstd"}

FILE_SUFFIXES = (
    *_TEXT_READERS,
    *(text + compressed for text in _TEXT_READERS for compressed in _COMPRESSIONS),
    *_TABLE_SUFFIXES,
)


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line of a file that is no acceptable event.

    Attributes:
        line_number: where it begins, counted from 1; in Parquet and Arrow the row's number.
        reason: what is wrong with it and what was expected.
        text: the line itself; of a Parquet or Arrow row, its fields as JSON. It may hold a user
            id, so it belongs nowhere but in the file of rejected lines.
    """

    line_number: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class FileChunk:
    """A part of a file.

    Attributes:
        events: its well-formed events, in order.
        refused_lines: all its other lines, in order; blank ones are left out.
        bytes_read: how much of the file has been read by now, to compare with `file_size`.
        lines_read: how many lines or rows have been read by now.
    """

    events: EventColumns
    refused_lines: tuple[RefusedLine, ...]
    bytes_read: int
    lines_read: int


def file_size(path: Path) -> int:
    """The size of a file in bytes.

    Raises:
        FileUnreadableError: if there is no such file, or it is a folder.
    """
    with _readable(path):
        found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise FileUnreadableError(path, "it is a folder")
    return found.st_size


def read_file(
    path: Path, rules: EventRules, chunk_events: int | None = None
) -> Iterator[FileChunk]:
    """Read a file whose name ends in one of `FILE_SUFFIXES`.

    Args:
        path: the file.
        rules: what is accepted; their limit to a body's events does not concern files.
        chunk_events: the most events to hold at a time (one row that spans lines aside); None for
            what is quickest.

    Yields:
        Parts of the file, in order. Bad lines are collected and stop nothing.

    Raises:
        FileUnreadableError: if the file is missing, is in no known format, or is damaged or cut
            short; in that case after all parts that could be read.
    """
    for rows, bytes_read in read_rows(path, chunk_events):
        yield _chunk(rows, rules, bytes_read)


def read_rows(path: Path, max_rows: int | None) -> Iterator[tuple[Rows, int]]:
    """Read the same files without judging what is in them, for those who have it judged elsewhere.

    Args:
        path: the file.
        max_rows: the most rows to hold at a time (one row that spans lines aside); None for what
            is quickest.

    Yields:
        Rows of the file, in order, and how many of its bytes have been read by now.

    Raises:
        FileUnreadableError: as `read_file` does.
    """
    lines_read = 0
    try:
        with _readable(path), path.open("rb") as file:
            size = path.stat().st_size
            for rows in _rows(path, file, max_rows):
                lines_read = rows.lines_read
                share = rows.share_read
                yield rows, file.tell() if share is None else int(size * share)
    except MalformedBodyError as error:
        after = f" (after {lines_read:,} readable lines)" if lines_read else ""
        reason = f"it is not valid {error.expected_format}: {error.reason}{after}"
        raise FileUnreadableError(path, reason) from error


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileUnreadableError(path, error.strerror or "it cannot be read") from error


def _rows(path: Path, file: BinaryIO, max_rows: int | None) -> Iterator[Rows]:
    """Choose the reader by the name's ending."""
    stem, suffix = path.stem.lower(), path.suffix.lower()
    if suffix in _TABLE_SUFFIXES:
        return _table_rows(suffix, file, max_rows or COLUMN_ROWS)
    blocks: Iterator[bytes] = iter(partial(file.read, _BLOCK_BYTES), b"")
    if suffix in _COMPRESSIONS:
        blocks = _in_blocks(inflate(blocks, _COMPRESSIONS[suffix]))
        suffix = Path(stem).suffix
    if suffix not in _TEXT_READERS:
        reason = f"the ending of its name is none of {', '.join(FILE_SUFFIXES)}"
        raise FileUnreadableError(path, reason)
    read, lines = _TEXT_READERS[suffix]
    return read(pieces_of(blocks, max_rows or lines))


def _table_rows(suffix: str, file: BinaryIO, max_rows: int) -> Iterator[Rows]:
    # pyarrow takes a quarter of a second to load, which other commands need not pay.
    from dpdau.formats.arrow_events import arrow_rows, parquet_rows  # noqa: PLC0415

    reader = parquet_rows if suffix == ".parquet" else arrow_rows
    return reader(file, max_rows)


def _in_blocks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in larger blocks; what was read before an error comes before the error."""
    held: list[bytes] = []
    size = 0
    failure = None
    try:
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= _BLOCK_BYTES:
                yield b"".join(held)
                held, size = [], 0
    except (MalformedBodyError, OSError) as error:
        failure = error
    if held:
        yield b"".join(held)
    if failure is not None:
        raise failure


def _chunk(rows: Rows, rules: EventRules, bytes_read: int) -> FileChunk:
    decoded = judge(rows.columns, rules)
    refused_lines = tuple(
        RefusedLine(rows.line_numbers[refusal.index], refusal.reason, rows.text_of(refusal.index))
        for refusal in decoded.refusals
    )
    return FileChunk(decoded.events, refused_lines, bytes_read, rows.lines_read)
