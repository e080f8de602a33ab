"""The journal of erasures: tombstones kept apart from the store, in a file or in memory.

The file is a head and records of 24 bytes each, all little-endian. The head says how many records
were synced and their CRC-32, and is written behind them: what lies past its count is left from
an append that a crash interrupted, and is cut off; anything else that does not fit is damage.
"""

import os
import struct
import threading
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpdau.errors import JournalDamagedError
from dpdau.pipeline.ports import Tombstones
from dpdau.store.files import locked, replace_durably, translated

__all__ = ["JournalFile", "MemoryJournal"]

_MAGIC = b"dpdauej1"
_FIELDS = struct.Struct("<8sQI")
_CHECKSUM = struct.Struct("<I")
_HEAD_BYTES = _FIELDS.size + _CHECKSUM.size
_RECORD = np.dtype(
    [
        ("pseudonym", "<u8"),
        ("erased_on", "<i4"),
        ("recorded_on", "<i4"),
        ("user_index", "<i8"),
    ]
)


@dataclass(frozen=True, slots=True)
class _Head:
    """How many records were synced, and the CRC-32 of all of them."""

    count: int = 0
    checksum: int = 0

    @property
    def end(self) -> int:
        """Where the file ends if nothing was interrupted."""
        return _HEAD_BYTES + self.count * _RECORD.itemsize

    def followed_by(self, records: bytes) -> "_Head":
        """The head once these records are synced too."""
        added = len(records) // _RECORD.itemsize
        return _Head(self.count + added, zlib.crc32(records, self.checksum))

    def encoded(self) -> bytes:
        fields = _FIELDS.pack(_MAGIC, self.count, self.checksum)
        return fields + _CHECKSUM.pack(zlib.crc32(fields))


class JournalFile:
    """A file that grows by appending, durably, by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Whether there is one.

        Raises:
            StoreError: if that cannot be found out.
        """
        with translated(self.path):
            return self.path.exists()

    def read(self) -> Tombstones:
        """Every tombstone; none if the file is missing.

        Raises:
            JournalDamagedError: if the file is not what was written.
            StoreError: if it cannot be read.
        """
        with locked(self.path):
            known, _ = self._read()
        return known

    def append(self, tombstones: Tombstones) -> None:
        """Add tombstones; durable once this returns. Makes the file if it is missing.

        Raises:
            JournalDamagedError: if the file is not what was written.
            StoreError: if it cannot be written; it holds what it held before.
        """
        records = _encoded(tombstones)
        with locked(self.path), translated(self.path):
            if not self.path.exists():
                self._write(records)
                return
            with self.path.open("r+b") as file:
                head = self._head(file.read(_HEAD_BYTES), os.fstat(file.fileno()).st_size)
                file.truncate(head.end)
                file.seek(head.end)
                file.write(records)
                file.flush()
                os.fsync(file.fileno())
                # These few bytes lie in one sector, so they are replaced whole or not at all.
                file.seek(0)
                file.write(head.followed_by(records).encoded())
                file.flush()
                os.fsync(file.fileno())

    def replace(self, tombstones: Tombstones) -> None:
        """Keep these and no others; durable once this returns.

        Raises:
            StoreError: if it cannot be written; it holds what it held before.
        """
        with locked(self.path), translated(self.path):
            self._write(_encoded(tombstones))

    def drop_before(self, day: int) -> None:
        """Forget tombstones recorded before this ordinal.

        Raises:
            JournalDamagedError: if the file is not what was written.
            StoreError: if it cannot be written; it holds what it held before.
        """
        with locked(self.path), translated(self.path):
            known, count = self._read()
            kept = known.select(known.recorded_on >= day)
            # What was appended about one person more than once is dropped on the way.
            if len(kept) < count:
                self._write(_encoded(kept))

    def _read(self) -> tuple[Tombstones, int]:
        """Every tombstone, and how many records they take."""
        with translated(self.path):
            if not self.path.exists():
                return Tombstones.merged([]), 0
            content = self.path.read_bytes()
        head = self._head(content[:_HEAD_BYTES], len(content))
        records = content[_HEAD_BYTES : head.end]
        if zlib.crc32(records) != head.checksum:
            raise JournalDamagedError(self.path, "its records do not match their checksum")
        return _decoded(np.frombuffer(records, dtype=_RECORD)), head.count

    def _head(self, content: bytes, file_bytes: int) -> _Head:
        if len(content) < _HEAD_BYTES:
            raise JournalDamagedError(self.path, "it has no whole head")
        magic, count, checksum = _FIELDS.unpack(content[: _FIELDS.size])
        head = _Head(count, checksum)
        if magic != _MAGIC or head.encoded() != content:
            raise JournalDamagedError(self.path, "its head does not match its checksum")
        if file_bytes < head.end:
            raise JournalDamagedError(self.path, f"it lacks some of its {count:,} records")
        return head

    def _write(self, records: bytes) -> None:
        replace_durably(self.path, _Head().followed_by(records).encoded() + records)


class MemoryJournal:
    """A journal that lasts as long as the process, for stores that do too."""

    def __init__(self) -> None:
        self._kept: Tombstones | None = None
        self._lock = threading.Lock()

    def exists(self) -> bool:
        """Whether anything was ever written."""
        return self._kept is not None

    def read(self) -> Tombstones:
        """Every tombstone."""
        return Tombstones.merged([]) if self._kept is None else self._kept

    def append(self, tombstones: Tombstones) -> None:
        """Add tombstones."""
        with self._lock:
            self._kept = Tombstones.merged([self.read(), tombstones])

    def replace(self, tombstones: Tombstones) -> None:
        """Keep these and no others."""
        with self._lock:
            self._kept = tombstones

    def drop_before(self, day: int) -> None:
        """Forget tombstones recorded before this ordinal."""
        with self._lock:
            known = self.read()
            self._kept = known.select(known.recorded_on >= day)


def _encoded(tombstones: Tombstones) -> bytes:
    records = np.empty(len(tombstones), dtype=_RECORD)
    records["pseudonym"] = tombstones.pseudonyms
    records["erased_on"] = tombstones.erased_on
    records["recorded_on"] = tombstones.recorded_on
    records["user_index"] = tombstones.user_indices
    return records.tobytes()


def _decoded(records: NDArray[np.void]) -> Tombstones:
    """Tombstones of records, of which a person may have several."""
    return Tombstones.merged(
        [
            Tombstones(
                records["pseudonym"],
                records["erased_on"],
                records["recorded_on"],
                records["user_index"],
            )
        ]
    )
