"""Who uses a folder: locks of the operating system that end with the process that holds them.

A lock on the folder itself needs no file of its own, and SQLite's locks, which are on its files,
know nothing of it.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dpdau.errors import StoreInUseError
from dpdau.store.files import sync, sync_name, translated

__all__ = [
    "alone",
    "discard_stale",
    "drafting",
    "occupied",
    "put_in_place",
    "taking_turns",
]

_DRAFT = ".draft"


@contextmanager
def occupied(folder: Path) -> Iterator[None]:
    """Work in a folder, made if it is missing, beside others.

    Raises:
        StoreInUseError: if a process has the folder for itself.
        StoreReadOnlyError: if it cannot be made or opened.
    """
    with _held(folder, fcntl.LOCK_SH | fcntl.LOCK_NB):
        yield


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Have a folder for oneself.

    Raises:
        StoreInUseError: if another process works in it.
    """
    with _held(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextmanager
def taking_turns(folder: Path) -> Iterator[None]:
    """Have a folder for oneself once others are done with it."""
    with _held(folder, fcntl.LOCK_EX):
        yield


@contextmanager
def drafting(target: Path) -> Iterator[Path]:
    """A place for a file that is being made: a folder of its own beside its later place.

    Whatever is left in it goes when the context ends, and if the process dies, with
    `discard_stale`.
    """
    folder = target.with_name(f"{target.name}{_DRAFT}")
    _discard(folder)
    with translated(target):
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(mode=0o700)
    with occupied(folder):
        try:
            yield folder / target.name
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def discard_stale(folder: Path) -> None:
    """Remove the drafts in a folder that no process works on any more."""
    for draft in sorted(folder.glob(f"*{_DRAFT}")):
        try:
            _discard(draft)
        except StoreInUseError:
            continue


def put_in_place(draft: Path, target: Path) -> None:
    """Give a finished file its name, durably: whole, or not at all."""
    with translated(target):
        for path in (draft, draft.parent):
            sync(path)
        draft.replace(target)
        sync_name(target)


def _discard(draft: Path) -> None:
    if draft.exists():
        with alone(draft):
            shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _held(folder: Path, operation: int) -> Iterator[None]:
    descriptor = _locked(folder, operation)
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(folder: Path, operation: int) -> int:
    with translated(folder):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, operation)
        except BlockingIOError:
            os.close(descriptor)
            raise StoreInUseError(folder) from None
    return descriptor
