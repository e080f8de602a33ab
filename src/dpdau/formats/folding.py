"""Columns of short texts with each distinct one held once.

Texts of up to sixteen bytes are two integers and a length. A hash of these gives each row a slot, and
the row that holds the slot stands for all rows there that are equal to it. Equality is looked at, not
believed; rows that differ from their holder take another round.
"""

from collections.abc import Sequence
from functools import reduce
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dpdau.model.texts import FoldedColumn, TextColumn

__all__ = ["folded"]

_Keys: TypeAlias = Sequence[NDArray[np.unsignedinteger[Any]]]

_WORD_BYTES = 8
_MAX_BYTES = 2 * _WORD_BYTES
# By how many bytes of a text are in a word: the bits that are the text's.
_BELOW = np.array([(1 << 8 * size) - 1 for size in range(_WORD_BYTES + 1)], dtype=np.uint64)
_MULTIPLIERS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))  # any odd ones
_SLOT_BITS = 16
_ROWS_PER_TEXT = 16
_MOST_ROUNDS = 4


def folded(texts: TextColumn) -> FoldedColumn[str] | None:
    """The same texts, folded; None if some are long, or there are many of which few repeat."""
    if texts.lengths.max(initial=0) > _MAX_BYTES:
        return None
    keys = _keys(texts)
    values: list[str] = []
    codes = np.empty(len(texts), dtype=np.int64)
    rows = np.arange(len(texts))
    for _ in range(_MOST_ROUNDS):
        holders = _holders(keys)
        leading = np.flatnonzero(holders == np.arange(len(rows)))
        first, last = len(values), len(values) + len(leading)
        if last * _ROWS_PER_TEXT > len(texts):
            return None
        values += [texts[row] for row in rows[leading].tolist()]
        code_of = np.empty(len(rows), dtype=np.int64)
        code_of[leading] = np.arange(first, last)
        codes[rows] = code_of[holders]
        differing = reduce(np.logical_or, [key != key[holders] for key in keys])
        if not differing.any():
            return FoldedColumn(values, codes)
        rows, keys = rows[differing], [key[differing] for key in keys]
    return None


def _keys(texts: TextColumn) -> _Keys:
    """Integers of each text that together are those of no other."""
    words, starts, lengths = texts.words(), texts.starts, texts.lengths
    first = words[starts] & _BELOW[np.minimum(lengths, _WORD_BYTES)]
    sizes = lengths.astype(np.uint8)
    if int(lengths.max(initial=0)) <= _WORD_BYTES:
        return first, sizes
    second = words[starts + _WORD_BYTES] & _BELOW[np.maximum(lengths - _WORD_BYTES, 0)]
    return first, second, sizes


def _holders(keys: _Keys) -> NDArray[np.int64]:
    """For each row one that has the same slot, and is the same for all of them."""
    mixed = [key * factor for key, factor in zip(keys, _MULTIPLIERS, strict=False)]
    slots = reduce(np.add, mixed) >> np.uint64(64 - _SLOT_BITS)
    holder = np.empty(1 << _SLOT_BITS, dtype=np.int64)
    holder[slots] = np.arange(len(slots))
    return np.take(holder, slots)
