"""The interface of everything that counts distinct users."""

from typing import ClassVar, Protocol, Self

from pyroaring import BitMap

__all__ = ["DistinctSketch"]


class DistinctSketch(Protocol):
    """A mutable collection of users that knows how many there are.

    Users are given as Roaring bitmaps of user indices.

    Attributes:
        supports_removal: whether `remove` is exact.
    """

    supports_removal: ClassVar[bool]

    @property
    def sensitivity(self) -> int:
        """The most by which adding or removing one user changes `estimate`, in users."""
        ...

    @property
    def relative_standard_error(self) -> float:
        """Standard error of `estimate` as a share of the true number; 0 if it is exact."""
        ...

    def add(self, users: BitMap) -> None:
        """Count these users; those counted already change nothing."""
        ...

    def remove(self, users: BitMap) -> None:
        """Stop counting these users; those not counted change nothing."""
        ...

    def union(self, other: Self) -> Self:
        """A new sketch of everyone in either."""
        ...

    def estimate(self) -> int:
        """The number of distinct users, before any noise: private, never to be shown."""
        ...

    def to_bytes(self) -> bytes:
        """The sketch in a portable form: private as well."""
        ...

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The sketch that `to_bytes` wrote.

        Raises:
            IncompatibleSketchError: if the bytes are none of this sketch's.
        """
        ...
