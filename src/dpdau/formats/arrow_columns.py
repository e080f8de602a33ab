"""From a column of an Arrow table to a column of fields.

User ids stay in the buffer that they came in, and other texts are folded. So are dictionaries: a
short input must not unfold into a long one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dpdau.errors import MalformedBodyError
from dpdau.formats.columns import Field
from dpdau.model.events import MAX_USER_ID_BYTES
from dpdau.model.texts import FoldedColumn, TextColumn

__all__ = ["fields_of", "require_unshared", "text_bytes_of"]

_SHARED = "its rows or batches share texts that are too long for an event"
_UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FEW_ROWS = 1_000
_FEW_VALUES = ("op", "day", "scope")


def fields_of(columns: pa.RecordBatch) -> dict[str, Sequence[Field]]:
    """The fields of some rows, by the names of their columns.

    Args:
        columns: of the types that an event's columns may have; offsets, indices and UTF-8 have been
            checked.

    Raises:
        MalformedBodyError: if texts that share their bytes would need much more memory than these.
    """
    return {name: _fields(name, columns.column(name)) for name in columns.schema.names}


def text_bytes_of(fields: Mapping[str, Sequence[Field]]) -> int:
    """How many bytes of text fields hold; of a folded column, each value once."""
    return sum(map(_text_bytes, fields.values()))


def _text_bytes(values: Sequence[Field]) -> int:
    if isinstance(values, FoldedColumn):
        return _text_bytes(values.values)
    if isinstance(values, TextColumn):
        return int(values.lengths.sum())
    return sum(len(value.encode()) for value in values if isinstance(value, str))


def require_unshared(text_bytes: int, own_bytes: int, rows: int) -> None:
    """Pass if texts are about as long as the bytes that they come from.

    Those that could be good may share bytes all the same.

    Raises:
        MalformedBodyError: if they are not.
    """
    if text_bytes > own_bytes + rows * MAX_USER_ID_BYTES:
        raise MalformedBodyError("Arrow", _SHARED)


def _fields(name: str, column: pa.Array) -> Sequence[Field]:
    kind = column.type
    convert = _texts if name == "user_id" else _values
    if pa.types.is_dictionary(kind):
        return _folded(_plain(column.dictionary), column.indices, convert)
    if name in _FEW_VALUES and not pa.types.is_null(kind):
        encoded = _comparable(column).dictionary_encode()
        return _folded(encoded.dictionary, encoded.indices, convert)
    return convert(column)


def _comparable(column: pa.Array) -> pa.Array:
    """The same in a type of which Arrow finds the distinct values."""
    if pa.types.is_date(column.type):
        return column.cast(pa.date32(), safe=False)
    return _plain(column)


def _plain(column: pa.Array) -> pa.Array:
    """The same, not as views of texts, for which Arrow lacks most functions."""
    if not pa.types.is_string_view(column.type):
        return column
    _, views, *octets = column.buffers()
    # The first of the four integers of a view is the length of its text.
    sizes = np.frombuffer(views, dtype=np.int32)[::4][column.offset :][: len(column)]
    text_bytes = sizes[np.asarray(column.is_valid())].sum(dtype=np.int64)
    require_unshared(int(text_bytes), sum(map(len, octets)), len(column))
    return column.cast(pa.large_string())


def _folded(
    dictionary: pa.Array, indices: pa.Array, convert: Callable[[pa.Array], Sequence[Any]]
) -> FoldedColumn[Any]:
    # One dictionary may serve many batches, so only what this one uses is converted.
    used = indices.dictionary_encode()
    values, codes = convert(dictionary.take(used.dictionary)), used.indices
    if codes.null_count:
        values, codes = [*values, None], codes.fill_null(len(values))
    return FoldedColumn(values, codes.to_numpy())


def _texts(column: pa.Array) -> Sequence[str | None]:
    if column.null_count or not len(column):
        return _values(column)
    texts = _plain(column)
    _, offsets, octets = texts.buffers()
    kind = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    bounds = np.frombuffer(offsets, dtype=kind)[texts.offset :][: len(texts) + 1].astype(np.int64)
    first, last = bounds[0], bounds[-1]
    return TextColumn(
        np.frombuffer(octets, dtype=np.uint8)[first:last], bounds[:-1] - first, np.diff(bounds)
    )


def _values(column: pa.Array) -> list[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind):
        per_second = _UNITS_PER_SECOND[kind.unit]
        ticks = column.cast(pa.int64()).to_pylist()
        return [None if tick is None else tick // per_second for tick in ticks]
    if pa.types.is_date(kind):
        return _values(column.cast(pa.date32(), safe=False).cast(pa.large_string()))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
        return list(column.to_pylist())
    texts = _plain(column)
    # An array is faster, but loads pandas where that is installed.
    values = texts.to_pylist() if len(texts) < _FEW_ROWS else texts.to_numpy(zero_copy_only=False)
    return list(values)
