"""What the fuzzers throw bytes at: every reader and decoder, with what must hold of each.

A check is given any bytes. It returns if the reader made a value of them that keeps what it
promises, or refused them with an error of dpdau's own tree; everything else that it raises is a
finding.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory

from dpdau.errors import DpdauError, StoreError

__all__ = ["FindingError", "Target", "folder", "refusing_clearly", "require"]


class FindingError(Exception):
    """A promise that some bytes broke."""


@dataclass(frozen=True)
class Target:
    """A reader that is fuzzed.

    Attributes:
        name: by which it is asked for.
        about: what it reads, in a few words.
        check: reads some bytes; raises if they break a promise.
        seeds: gives bytes to begin with, most of which it reads without a fault.
    """

    name: str
    about: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]


@contextmanager
def refusing_clearly(*, at: int = HTTPStatus.INTERNAL_SERVER_ERROR) -> Iterator[None]:
    """Take errors of the tree for an answer, if they say something and blame who is to blame.

    Args:
        at: the HTTP status from which on an error is a fault of ours and not of the input, unless
            it is about the store.
    """
    try:
        yield
    except DpdauError as error:
        require(bool(error.message.strip()), "an error says nothing")
        is_ours = error.http_status >= at and not isinstance(error, StoreError)
        require(not is_ours, f"bad input is called a fault of the program: {error.message}")


def require(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a sentence
    """Raise a finding unless something holds."""
    if not holds:
        raise FindingError(otherwise)


@cache
def folder() -> Path:
    """Where targets keep files, in memory if there is room; gone when the process ends."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own in it # nosec B108
    kept = TemporaryDirectory(prefix="dpdau-fuzz-", dir=memory if memory.is_dir() else None)
    _KEPT.append(kept)
    return Path(kept.name)


_KEPT: list[TemporaryDirectory[str]] = []
