"""From a column of an Arrow table to a column of fields.

Text columns that are stored as dictionaries stay folded: a short input cannot unfold into a long
one. Other text columns are folded where few values are to be expected; user ids stay in the buffer
that they came in.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dpdau.formats.columns import Field
from dpdau.model.texts import FoldedColumn, TextColumn

__all__ = ["fields_of"]

_UNITS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FEW_ROWS = 1_000
_FEW_VALUES = ("op", "day", "scope")


def fields_of(columns: pa.RecordBatch) -> dict[str, Sequence[Field]]:
    """The fields of some rows, by the names of their columns.

    Args:
        columns: of the types that an event's columns may have; offsets, indices and UTF-8 have been
            checked.
    """
    return {name: _fields(name, columns.column(name)) for name in columns.schema.names}


def _fields(name: str, column: pa.Array) -> Sequence[Field]:
    kind = column.type
    convert = _texts if name == "user_id" else _values
    if pa.types.is_dictionary(kind):
        return _folded(column.dictionary, column.indices, convert)
    if name in _FEW_VALUES and not pa.types.is_null(kind):
        encoded = _comparable(column).dictionary_encode()
        return _folded(encoded.dictionary, encoded.indices, convert)
    return convert(column)


def _comparable(column: pa.Array) -> pa.Array:
    """The same in a type of which Arrow finds the distinct values."""
    if pa.types.is_date(column.type):
        return column.cast(pa.date32(), safe=False)
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
    if pa.types.is_null(column.type) or column.null_count or not len(column):
        return _values(column)
    texts = column.cast(pa.large_string())
    _, offsets, octets = texts.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)[texts.offset :][: len(texts) + 1]
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
    texts = column.cast(pa.large_string())
    # An array is faster, but loads pandas where that is installed.
    values = texts.to_pylist() if len(texts) < _FEW_ROWS else texts.to_numpy(zero_copy_only=False)
    return list(values)
