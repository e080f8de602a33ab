"""What is left of a folder when the power fails: what was synced, and of the rest what chance keeps.

The library of `_interpose.c` notes in a log what each call would lose. This reads the log and
changes the files to what they might be after a power cut:

- Content that was written since its file's last fsync is kept or lost, by blocks of 4,096 bytes or
  by time. What was written while that fsync ran counts as not covered.
- Names that were given, taken or changed since their folder's last fsync are kept up to a moment
  and lost from then on, as a file system with a journal does it. An fsync of a file does not
  make its name durable, an fsync of a folder nothing but the names in it.
- So are truncations since a file's last fsync. Where one is lost, the blocks that it freed are as
  they were before it, all of them, and what was written into the file afterwards is lost too.
"""

import os
import shutil
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum, StrEnum, auto
from itertools import chain
from pathlib import Path
from random import Random  # noqa: TID251 - what chance keeps of unsynced blocks, no noise

__all__ = ["Cut", "Kept", "cut_power", "forget"]

_HEAD = struct.Struct("<IIIIQQQQQ")
_BLOCK_BYTES = 4096


class _Note(IntEnum):
    """As `enum note` of the library."""

    DATA = 0
    TRUNCATED = auto()
    SYNCED = auto()
    CREATED = auto()
    UNLINKED = auto()
    RENAMED = auto()
    LINKED = auto()
    MKDIR = auto()
    RMDIR = auto()


class Kept(StrEnum):
    """What chance keeps of what was not synced."""

    NOTHING = "nothing"
    BLOCKS = "some blocks"
    BEFORE = "what came before a moment"


@dataclass(frozen=True, slots=True)
class Cut:
    """What a power cut took.

    Attributes:
        writes: how many writes and truncations were not synced.
        names: how many changes of names were not.
        kept: what was kept of them.
    """

    writes: int
    names: int
    kept: Kept


@dataclass(frozen=True, slots=True)
class _Record:
    """A record of the log; the fields are those of `struct note_head`."""

    at: int
    note: _Note
    grave: int
    inode: int
    offset: int
    size: int
    path: Path
    other: Path
    content: bytes


def cut_power(root: Path, undo: Path, random: Random, kept: Kept) -> Cut:
    """Change a folder to what might be left of it, and begin the log anew.

    No process may have anything of the folder open.

    Args:
        root: the folder.
        undo: the folder of the undo log.
        random: decides what is kept.
        kept: how it decides.
    """
    content, names = _unsynced(
        sorted(chain.from_iterable(map(_records, undo.glob("*.log"))), key=lambda each: each.at)
    )
    moments = sorted(each.at for each in chain(names, *content.values()))
    moment = random.choice(moments) if moments and kept is not Kept.NOTHING else -1
    for name in reversed(names):
        if name.at >= moment:
            _undo_name(name, undo)
    for path in _files(root):
        if found := content.get(path.stat().st_ino):
            _undo_content(path, found, random, kept, moment)
    # SQLite maps it into memory, and its content never outlives the machine.
    for shared in root.rglob("*-shm"):
        shared.unlink()
    forget(undo)
    return Cut(sum(map(len, content.values())), len(names), kept)


def forget(undo: Path) -> None:
    """Begin the log anew, as if all had been synced."""
    shutil.rmtree(undo)
    undo.mkdir()


def _records(log: Path) -> Iterator[_Record]:
    """What one process noted; what it was writing when it was killed is left out."""
    held, start = log.read_bytes(), 0
    while start + _HEAD.size <= len(held):
        note, paths, others, grave, at, inode, offset, size, length = _HEAD.unpack_from(held, start)
        path = start + _HEAD.size
        other = path + paths
        content = other + others
        start = content + length
        if start <= len(held):
            yield _Record(
                *(at, _Note(note), grave, inode, offset, size),
                path=Path(os.fsdecode(held[path:other])),
                other=Path(os.fsdecode(held[other:content])),
                content=held[content:start],
            )


def _unsynced(
    records: Iterable[_Record],
) -> tuple[dict[int, list[_Record]], list[_Record]]:
    """The changes of content by inode and the changes of names that no fsync covers."""
    content: dict[int, list[_Record]] = {}
    names: list[_Record] = []
    for record in records:
        match record.note:
            case _Note.DATA | _Note.TRUNCATED:
                content.setdefault(record.inode, []).append(record)
            case _Note.SYNCED:
                former = content.pop(record.inode, [])
                if later := [each for each in former if each.at >= record.offset]:
                    content[record.inode] = later
                names = [
                    each
                    for each in names
                    if each.at >= record.offset or each.path.parent != record.path
                ]
            case _Note.CREATED:
                content.pop(record.inode, None)
                names.append(record)
            case _:
                names.append(record)
    return content, names


def _undo_name(record: _Record, undo: Path) -> None:
    grave = undo / str(record.grave)
    is_there = os.path.lexists(record.path) and record.path.lstat().st_ino == record.inode
    match record.note:
        case _Note.CREATED | _Note.LINKED if is_there:
            record.path.unlink()
        case _Note.MKDIR if record.path.is_dir():
            # Also one that was removed and is back, which has another inode.
            shutil.rmtree(record.path)
        case _Note.RMDIR:
            record.path.mkdir(parents=True, exist_ok=True)
        case _Note.RENAMED if is_there:
            record.other.parent.mkdir(parents=True, exist_ok=True)
            record.path.rename(record.other)
    if record.grave and record.note in {_Note.RENAMED, _Note.UNLINKED}:
        record.path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.link(grave, record.path)


def _undo_content(
    path: Path, records: list[_Record], random: Random, kept: Kept, moment: int
) -> None:
    """Give a file the content that the power left it."""
    durable = bytearray(path.read_bytes())
    if kept is Kept.BLOCKS:
        lost = next((n for n, each in enumerate(records) if _is_lost(each, moment)), len(records))
        for record in reversed(records[lost:]):
            _undo_write(durable, record)
        durable = _mixed(_truncated(durable, records[:lost]), bytes(durable), random)
    else:
        for record in reversed(records):
            if kept is Kept.BEFORE and record.at < moment:
                break
            _undo_write(durable, record)
    with path.open("r+b") as file:
        file.write(durable)
        file.truncate(len(durable))


def _is_lost(record: _Record, moment: int) -> bool:
    return record.note is _Note.TRUNCATED and record.at >= moment


def _truncated(written: bytearray, records: list[_Record]) -> bytes:
    """A file before some changes, had its truncations alone been made."""
    durable = bytearray(written)
    for record in reversed(records):
        _undo_write(durable, record)
    for record in records:
        if record.note is _Note.TRUNCATED:
            del durable[record.offset :]
            durable.extend(bytes(record.offset - len(durable)))
    return bytes(durable)


def _undo_write(content: bytearray, record: _Record) -> None:
    end = record.offset + len(record.content)
    if len(content) < end:
        content.extend(bytes(end - len(content)))
    content[record.offset : end] = record.content
    if len(content) > record.size:
        del content[record.size :]
    else:
        content.extend(bytes(record.size - len(content)))


def _mixed(durable: bytes, written: bytes, random: Random) -> bytearray:
    """Each block from the one or the other; the size too, which is a block of the folder's."""
    size = len(random.choice((durable, written)))
    mixed = bytearray()
    for start in range(0, size, _BLOCK_BYTES):
        chosen = random.choice((durable, written))[start : start + _BLOCK_BYTES]
        wanted = min(_BLOCK_BYTES, size - start)
        mixed += chosen[:wanted].ljust(wanted, b"\0")
    return mixed


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())
