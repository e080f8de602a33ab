"""Columns of texts without a Python string for each: for what a file brings by the thousand.

Both are sequences of `str` to whoever does not mind the time, and arrays to whoever does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Any, Generic, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["FoldedColumn", "TextColumn", "concatenated", "taken"]

_WORD_BYTES = 8

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, eq=False)
class TextColumn(Sequence[str]):
    """Texts that lie in one buffer of UTF-8.

    Attributes:
        octets: the buffer, uint8; there may be other bytes around and between the texts.
        starts: where each of the n texts begins, int64.
        lengths: how many bytes each has, int64.
    """

    octets: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> "TextColumn": ...

    def __getitem__(self, index: int | slice) -> "str | TextColumn":
        if isinstance(index, slice):
            return TextColumn(self.octets, self.starts[index], self.lengths[index])
        start = self.starts[index]
        return self.octets[start : start + self.lengths[index]].tobytes().decode()

    def __iter__(self) -> Iterator[str]:
        ends = self.starts + self.lengths
        # A part of a column has the buffer of all of it.
        first, last = self.starts.min(initial=len(self.octets)), ends.max(initial=0)
        octets = self.octets[first:last].tobytes()
        for start, end in zip((self.starts - first).tolist(), (ends - first).tolist(), strict=True):
            yield octets[start:end].decode()

    def words(self) -> NDArray[np.uint64]:
        """The eight bytes that begin at each place of the buffer, as a little-endian integer.

        Zeros stand behind its end, and there are places up to a word beyond it: no text is too
        near to the end for words of it, or one behind it, to be loaded.
        """
        octets = np.concatenate([self.octets, np.zeros(2 * _WORD_BYTES, dtype=np.uint8)])
        places = len(octets) - _WORD_BYTES + 1
        return np.ndarray((places,), dtype="<u8", buffer=octets.data, strides=(1,))


@dataclass(frozen=True, slots=True, eq=False)
class FoldedColumn(Sequence[Value], Generic[Value]):
    """Values that repeat, each of them held once.

    Attributes:
        values: the values, each of which some row has.
        codes: the position in `values` of what each of the n rows has, integers.
    """

    values: Sequence[Value]
    codes: NDArray[np.signedinteger[Any]]

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, index: int) -> Value: ...

    @overload
    def __getitem__(self, index: slice) -> "FoldedColumn[Value]": ...

    def __getitem__(self, index: int | slice) -> "Value | FoldedColumn[Value]":
        if isinstance(index, slice):
            used, codes = np.unique(self.codes[index], return_inverse=True)
            return FoldedColumn(taken(self.values, used), codes)
        return self.values[int(self.codes[index])]

    def __iter__(self) -> Iterator[Value]:
        return map(list(self.values).__getitem__, self.codes.tolist())


def taken(column: Sequence[Value], positions: NDArray[np.integer[Any]]) -> Sequence[Value]:
    """What a column has at some positions: a column of the same kind, or else a list."""
    if isinstance(column, TextColumn):
        texts = TextColumn(column.octets, column.starts[positions], column.lengths[positions])
        return cast("Sequence[Value]", texts)
    if isinstance(column, FoldedColumn):
        return FoldedColumn(column.values, column.codes[positions])[:]
    return [column[position] for position in positions.tolist()]


def concatenated(parts: Sequence[Sequence[Value]]) -> Sequence[Value]:
    """Several columns as one, in order: of the same kind if they are of one kind, else a list."""
    if parts and all(isinstance(part, TextColumn) for part in parts):
        return cast("Sequence[Value]", _texts(cast("Sequence[TextColumn]", parts)))
    if parts and all(isinstance(part, FoldedColumn) for part in parts):
        return _folded(cast("Sequence[FoldedColumn[Value]]", parts))
    return list(chain.from_iterable(parts))


def _texts(parts: Sequence[TextColumn]) -> TextColumn:
    octets, starts = parts[0].octets, [part.starts for part in parts]
    lengths = np.concatenate([part.lengths for part in parts])
    if all(part.octets is octets for part in parts):
        return TextColumn(octets, np.concatenate(starts), lengths)
    buffers = [part.octets for part in parts]
    return TextColumn(np.concatenate(buffers), _shifted(starts, [*map(len, buffers)]), lengths)


def _folded(parts: Sequence[FoldedColumn[Value]]) -> FoldedColumn[Value]:
    return FoldedColumn(
        concatenated([part.values for part in parts]),
        _shifted([part.codes for part in parts], [len(part.values) for part in parts]),
    )


def _shifted(positions: Sequence[NDArray[Any]], sizes: Sequence[int]) -> NDArray[np.int64]:
    """Positions within each of several things of these sizes as positions within all of them."""
    shifts = accumulate(sizes, initial=0)
    moved = [each.astype(np.int64) + shift for each, shift in zip(positions, shifts, strict=False)]
    return np.concatenate(moved)
