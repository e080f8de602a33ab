"""Pages: records with a number of their own, many to a cell, found again by that number.

A record that is all zeros is nobody's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dpdau.store.sqlite.cells import Cells, Place
from dpdau.store.sqlite.session import Session, as_json

__all__ = ["PAGE_RECORDS", "TOMBSTONES", "USERS", "PageKind", "Pages"]

PAGE_RECORDS = 4_096
# Numbers of records are at most 32 bits long.
_MOST_PAGES = 2**32 // PAGE_RECORDS


@dataclass(frozen=True, slots=True)
class PageKind:
    """What the records of some pages are.

    Attributes:
        name: tells the kinds apart in the file.
        record: the layout of one record; its first field is a pseudonym.
    """

    name: str
    record: np.dtype[Any]


# The number of a record is the user's index.
USERS = PageKind("users", np.dtype([("pseudonym", "<u8")]))
TOMBSTONES = PageKind(
    "tombstones",
    np.dtype(
        [
            ("pseudonym", "<u8"),
            ("erased_on", "<i4"),
            ("recorded_on", "<i4"),
            ("user_index", "<i8"),
        ]
    ),
)


class Pages:
    """The pages of one kind."""

    def __init__(self, session: Session, kind: PageKind) -> None:
        self._session = session
        self._cells = Cells(session)
        self._kind = kind
        self._nobody = np.zeros(PAGE_RECORDS, dtype=kind.record)

    def changed_after(self, generation: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """The pages changed after a generation: the number of the first record, and all records."""
        for page, cell in self._session.each("pages", kind=self._kind.name, generation=generation):
            if not 0 <= page < _MOST_PAGES:
                raise self._session.corrupt(f"a page of {self._kind.name} has the number {page}")
            yield page * PAGE_RECORDS, self._records(cell)

    def pseudonyms(self) -> NDArray[np.uint64]:
        """The pseudonym of every record by its number; 0 where there is none."""
        (last,) = self._session.row("last_page", kind=self._kind.name)
        # Of a page beyond all others nothing is allotted before it is found to be none.
        size = (last + 1) * PAGE_RECORDS if last in range(_MOST_PAGES) else 0
        pseudonyms = np.zeros(size, dtype=np.uint64)
        for first, records in self.changed_after(-1):
            pseudonyms[first : first + PAGE_RECORDS] = records["pseudonym"]
        return pseudonyms

    def read(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """The records with these numbers, in the same order; zeros where there is none."""
        records = np.zeros(len(numbers), dtype=self._kind.record)
        if not len(numbers):
            return records
        pages, at = np.unique(numbers // PAGE_RECORDS, return_inverse=True)
        for key, (_, held) in self._stored(pages).items():
            wanted = at == key
            records[wanted] = held[numbers[wanted] % PAGE_RECORDS]
        return records

    def write(self, numbers: NDArray[np.int64], records: NDArray[Any], generation: int) -> None:
        """Put records in place of those with these numbers.

        Args:
            numbers: n distinct numbers.
            records: n records, or a single one for all.
            generation: the state of the file that this makes.
        """
        records = np.broadcast_to(records, numbers.shape)
        pages, at = np.unique(numbers // PAGE_RECORDS, return_inverse=True)
        stored = self._stored(pages)
        after: dict[int, tuple[NDArray[Any], Place | None]] = {}
        for key, page in enumerate(pages.tolist()):
            place, held = stored.get(key, (None, self._nobody))
            changed = at == key
            held = held.copy()
            held[numbers[changed] % PAGE_RECORDS] = records[changed]
            after[page] = held, place
        self._session.run(
            "put_pages",
            kind=self._kind.name,
            places=msgspec.json.encode(self._put(after)).decode(),
            generation=generation,
        )

    def _put(
        self, pages: Mapping[int, tuple[NDArray[Any], Place | None]]
    ) -> list[tuple[int, int | None, int | None]]:
        """Write pages; gives the number, cell and capacity of each, without a cell if empty."""
        kept = [page for page, (records, _) in pages.items() if records["pseudonym"].any()]
        emptied = sorted(pages.keys() - set(kept))
        self._cells.free(place for page in emptied if (place := pages[page][1]) is not None)
        contents = [(records.tobytes(), place) for records, place in map(pages.__getitem__, kept)]
        places = zip(kept, self._cells.put_all(contents), strict=True)
        return [
            *((page, None, None) for page in emptied),
            *((page, place.cell, place.capacity) for page, place in places),
        ]

    def _stored(self, pages: NDArray[np.int64]) -> dict[int, tuple[Place | None, NDArray[Any]]]:
        """Those of these pages that exist, by their position among them."""
        rows = self._session.rows("some_pages", kind=self._kind.name, pages=as_json(pages.tolist()))
        return {
            key: (None if cell is None else Place(cell, capacity), self._records(content))
            for key, cell, capacity, content in rows
        }

    def _records(self, cell: bytes | None) -> NDArray[Any]:
        if cell is None:
            return self._nobody
        content = self._cells.content(cell)
        if len(content) != self._nobody.nbytes:
            reason = f"a page of {self._kind.name} holds {len(content)} bytes"
            raise self._session.corrupt(reason)
        return np.frombuffer(content, dtype=self._kind.record)
