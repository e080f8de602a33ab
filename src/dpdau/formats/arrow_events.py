"""Apache Arrow and Parquet: one event a row, in typed columns.

Parquet is read from files only: its reader can be made to end the process by a damaged footer,
which costs whoever reads a file of their own one command, but would cost a service all of its
clients.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dpdau.errors import MalformedBodyError
from dpdau.formats.arrow_columns import fields_of, require_unshared, text_bytes_of
from dpdau.formats.columns import Field, RawColumns, Rows, joined, judge, require_columns
from dpdau.formats.ipc import has_compressed_buffers
from dpdau.formats.rules import Decoded, EventRules, require_size
from dpdau.model.events import MAX_USER_ID_BYTES

__all__ = ["arrow_rows", "decode_arrow", "parquet_rows"]

# What pyarrow raises on damaged input. Its messages are not passed on, since they may quote it.
_ARROW_ERRORS = (pa.ArrowException, ValueError, OSError, OverflowError, EOFError, MemoryError)
_DAMAGED = "it is damaged, cut short or something else"
_USER_ID = "user_id"
_FOLDED = ("op", "day", "ts", "scope")
_COLUMNS = (_USER_ID, *_FOLDED)
_FOLDED_ROWS = 10  # a dictionary is kept where its values come this often, on average
_SAMPLE_ROWS = 1_000
_FILE_MAGIC = b"ARROW1"


def decode_arrow(body: bytes, rules: EventRules) -> Decoded:
    """Decode an Arrow IPC stream whose buffers are not compressed.

    Raises:
        MalformedBodyError: if the body is no such stream, or its columns are not an event's.
        BatchTooLargeError: if there are more events than the rules allow.
    """
    try:
        with pa.ipc.open_stream(body) as reader:
            if has_compressed_buffers(body):
                reason = "its buffers are compressed; compress the body as a whole instead"
                raise MalformedBodyError("Arrow", reason)
            return _decode(reader.schema, reader, rules, len(body))
    except _ARROW_ERRORS as error:
        raise MalformedBodyError("Arrow", _DAMAGED) from error


def arrow_rows(file: BinaryIO, max_rows: int) -> Iterator[Rows]:
    """Read an Arrow IPC file or stream; a row's number stands for its line.

    Raises:
        MalformedBodyError: if it is neither, or its columns are not an event's.
    """
    try:
        if file.read(len(_FILE_MAGIC)) == _FILE_MAGIC:
            reader = pa.ipc.open_file(file)
            batches = map(reader.get_batch, range(reader.num_record_batches))
        else:
            file.seek(0)
            reader = batches = pa.ipc.open_stream(file)
        with reader:
            yield from _rows(reader.schema, batches, "Arrow", max_rows)
    except _ARROW_ERRORS as error:
        raise MalformedBodyError("Arrow", _DAMAGED) from error


def parquet_rows(file: BinaryIO, max_rows: int) -> Iterator[Rows]:
    """Read a Parquet file; a row's number stands for its line.

    Raises:
        MalformedBodyError: if it is none, or its columns are not an event's.
    """
    try:
        with _open_parquet(file, _COLUMNS) as folded, _open_parquet(file, _FOLDED) as plain:
            schema, total = folded.schema_arrow, folded.metadata.num_rows
            names = _wanted(schema, "Parquet")
            batches = _parquet_batches(folded, plain, names)
            for rows in _rows(schema, batches, "Parquet", max_rows):
                yield replace(rows, share_read=rows.lines_read / max(total, 1))
    except _ARROW_ERRORS as error:
        raise MalformedBodyError("Parquet", _DAMAGED) from error


def _open_parquet(source: BinaryIO, folded: Collection[str]) -> pq.ParquetFile:
    """A reader that leaves these columns, where they are text, as the dictionaries they are."""
    metadata = pq.read_metadata(source)
    columns = map(metadata.schema.column, range(metadata.num_columns))
    texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    dictionaries = [path for path in texts if path in folded]
    return pq.ParquetFile(source, metadata=metadata, read_dictionary=dictionaries)


def _parquet_batches(
    folded: pq.ParquetFile, plain: pq.ParquetFile, names: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """All rows, with dictionaries of user ids only where they save something.

    Where most ids differ a dictionary costs ten times as much as plain text does.
    """
    for group in range(folded.num_row_groups):
        reader = plain if _is_best_plain(folded, group) else folded
        yield from reader.iter_batches(columns=names, row_groups=[group])


def _is_best_plain(folded: pq.ParquetFile, group: int) -> bool:
    """Whether a row group's ids mostly differ and cannot unfold into much; its first rows tell.

    What is stored as a dictionary comes with all of it. Of what is not, one is made of these rows.
    """
    batches = folded.iter_batches(_SAMPLE_ROWS, columns=[_USER_ID], row_groups=[group])
    first = [batch.column(0) for batch in islice(batches, 1)]
    rows = folded.metadata.row_group(group).num_rows
    return all(
        len(ids.dictionary) * _FOLDED_ROWS > (rows if _is_stored(ids) else len(ids))
        and (pc.max(pc.binary_length(ids.dictionary)).as_py() or 0) <= MAX_USER_ID_BYTES
        for ids in first
        if pa.types.is_dictionary(ids.type)
    )


def _is_stored(ids: pa.DictionaryArray) -> bool:
    """Whether the dictionary has more than these rows need."""
    return len(ids.dictionary) > len(pc.unique(ids.indices))


# --- columns -------------------------------------------------------------------------------


def _decode(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], rules: EventRules, body_bytes: int
) -> Decoded:
    names = _wanted(schema, "Arrow")
    parts: list[RawColumns] = []
    size = text_bytes = 0
    for batch in batches:
        size += batch.num_rows
        require_size(size, rules, is_total=False)
        fields = fields_of(_checked(batch, names))
        text_bytes += text_bytes_of(fields)
        require_unshared(text_bytes, body_bytes, size)
        parts.append(_columns(fields))
    return judge(joined(parts), rules)


def _rows(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], expected_format: str, max_rows: int
) -> Iterator[Rows]:
    names = _wanted(schema, expected_format)
    rows_read = 0
    for batch in batches:
        checked = _checked(batch, names)
        for start in range(0, batch.num_rows, max_rows):
            fields = fields_of(checked.slice(start, max_rows))
            numbers = range(rows_read + 1, rows_read + len(fields["user_id"]) + 1)
            rows_read += len(numbers)
            yield Rows(_columns(fields), numbers, partial(_text_of, fields), rows_read)


def _text_of(fields: Mapping[str, Sequence[Field]], index: int) -> str:
    row = {name: values[index] for name, values in fields.items() if values[index] is not None}
    return msgspec.json.encode(row).decode()


def _columns(fields: Mapping[str, Sequence[Field]]) -> RawColumns:
    return RawColumns(
        user_ids=fields["user_id"],
        ops=fields["op"],
        days=fields.get("day"),
        timestamps=fields.get("ts"),
        scopes=fields.get("scope"),
    )


def _wanted(schema: pa.Schema, expected_format: str) -> list[str]:
    """The names of the columns to read, all of a fitting type."""
    require_columns(schema.names, expected_format)
    names = [name for name in _COLUMNS if name in schema.names]
    for name in names:
        expected = _type_fault(name, schema.field(name).type)
        if expected is not None:
            raise MalformedBodyError(expected_format, f"column {name} does not hold {expected}")
    return names


def _type_fault(name: str, kind: pa.DataType) -> str | None:
    """What the column should hold, if this is another type."""
    text = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_null(kind) or any(is_text(text) for is_text in _TEXT_TYPES):
        return None
    if name == "day":
        return None if pa.types.is_date(kind) else "dates, or text"
    if name == "ts":
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return None
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            return None
        return "timestamps with a time zone, seconds since 1970, or text"
    return "text"


_TEXT_TYPES = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def _checked(batch: pa.RecordBatch, names: Sequence[str]) -> pa.RecordBatch:
    """The wanted columns, with offsets, indices and UTF-8 checked: the bytes are not trusted."""
    columns = batch.select(names)
    columns.validate(full=True)
    return columns
