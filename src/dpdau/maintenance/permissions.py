"""Which files others than their owner may read or replace."""

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["is_open", "readable", "replaceable"]

_GROUP_AND_OTHERS = 0o077
_THEY_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def is_open(path: Path) -> bool:
    """Whether group or others may do anything with it."""
    return bool(path.stat().st_mode & _GROUP_AND_OTHERS)


def readable(files: Iterable[Path]) -> Iterator[Path]:
    """Those that others may open; what lies in a folder that is closed to others is closed too."""
    return (each for each in files if each.is_file() and is_open(each) and is_open(each.parent))


def replaceable(folders: Iterable[Path]) -> Iterator[Path]:
    """Those in which others may put a file of theirs in the place of one that is there."""
    for folder in folders:
        if folder.is_dir():
            mode = folder.stat().st_mode
            if mode & _THEY_MAY_WRITE and not mode & stat.S_ISVTX:
                yield folder
