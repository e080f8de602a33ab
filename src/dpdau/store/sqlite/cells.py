"""Cells: blobs of a fixed size that are overwritten in place and never move.

SQLite zeroes what is deleted, but when a page of a tree splits, or is balanced with its
neighbours, copies of rows that moved away stay behind in the unused part of pages. So everything
that tells of a person lies in cells. A cell's row keeps its size for good and is never deleted:
SQLite then writes new content over the old (`btreeOverwriteCell` in its btree.c), and rows with
ascending keys are appended without moving others (`balance_quick`). What is no longer needed is
overwritten with zeros, and its cell is kept for the next content of that size.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import msgspec

from dpdau.store.sqlite.session import Session

__all__ = ["Cells", "Place"]

_LENGTH_BYTES = 4
_SMALLEST = 64
_LARGEST_POWER = 4096
# A serialised Roaring bitmap with one container of 65,536 bits.
_FULL_SHARD = 8_208

# Bounds the memory that a statement takes to a few megabytes.
_CELLS_A_STATEMENT = 128


@dataclass(frozen=True, slots=True)
class Place:
    """A cell and how many bytes it holds."""

    cell: int
    capacity: int


class Cells:
    """The cells of a file."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def content(self, cell: bytes) -> bytes:
        """What a cell holds, from all its bytes.

        Raises:
            StoreCorruptError: if they cannot have been written by `put`.
        """
        length = int.from_bytes(cell[:_LENGTH_BYTES], "little")
        if length > len(cell) - _LENGTH_BYTES:
            raise self._session.corrupt(f"a cell of {len(cell)} bytes claims to hold {length}")
        return cell[_LENGTH_BYTES : _LENGTH_BYTES + length]

    def put(self, content: bytes, place: Place | None = None) -> Place:
        """Write content, over what is at its place if it fits there; returns where it is now."""
        if place is not None:
            if _LENGTH_BYTES + len(content) <= place.capacity:
                self._write(place, content)
                return place
            self.free([place])
        return self._add(content)

    def put_all(self, contents: Sequence[tuple[bytes, Place | None]]) -> list[Place]:
        """`put` for many at once: those that stay where they are take one statement.

        Each statement gives the interpreter to other threads, and to get it back takes longer
        than to write a cell.
        """
        staying = [
            (place, _packed(content, place.capacity))
            for content, place in contents
            if place is not None and _LENGTH_BYTES + len(content) <= place.capacity
        ]
        for start in range(0, len(staying), _CELLS_A_STATEMENT):
            self._overwrite(staying[start : start + _CELLS_A_STATEMENT])
        kept = {place for place, _ in staying}
        return [
            place if place in kept and place is not None else self.put(content, place)
            for content, place in contents
        ]

    def free(self, places: Iterable[Place]) -> None:
        """Overwrite these cells with zeros and keep them for other content."""
        for place in places:
            self._write(place, b"")
            self._session.run("free_cell", capacity=place.capacity, cell=place.cell)

    def _add(self, content: bytes) -> Place:
        capacity = _capacity_for(len(content))
        freed = self._session.row("take_free_cell", capacity=capacity)
        if freed is not None:
            place = Place(freed[0], capacity)
            self._write(place, content)
            return place
        (cell,) = self._session.row("add_cell", content=_packed(content, capacity))
        return Place(cell, capacity)

    def _overwrite(self, cells: Sequence[tuple[Place, bytes]]) -> None:
        """Write cells anew, from one run of bytes and where each one's begin (from 1)."""
        starts = accumulate((place.capacity for place, _ in cells), initial=1)
        places = [
            (place.cell, start, place.capacity)
            for (place, _), start in zip(cells, starts, strict=False)
        ]
        self._session.run(
            "write_cells",
            contents=b"".join(packed for _, packed in cells),
            places=msgspec.json.encode(places).decode(),
        )

    def _write(self, place: Place, content: bytes) -> None:
        packed = _packed(content, place.capacity)
        self._session.run("write_cell", cell=place.cell, content=packed)


def _packed(content: bytes, capacity: int) -> bytes:
    return (len(content).to_bytes(_LENGTH_BYTES, "little") + content).ljust(capacity, b"\0")


def _capacity_for(length: int) -> int:
    """The size of the cell for some content: one of few, so that freed cells find new use."""
    if length <= _LARGEST_POWER:
        room = max(_SMALLEST, 1 << (length - 1).bit_length())
    elif length <= _FULL_SHARD:
        room = _FULL_SHARD
    else:
        step = 1 << ((length - 1).bit_length() - 2)
        room = -(-length // step) * step
    return _LENGTH_BYTES + room
