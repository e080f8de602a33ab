"""The interface of everything that counts distinct users."""

from typing import ClassVar, Protocol, Self

from pyroaring import BitMap

from dpdau.model.counting import CountVariance

__all__ = ["DistinctSketch"]


class DistinctSketch(Protocol):
    """A mutable collection of users that knows how many there are.

    Users are given as Roaring bitmaps of user indices.

    Attributes:
        supports_removal: whether `remove` is exact.
    """

    supports_removal: ClassVar[bool]

    @property
    def sensitivity(self) -> int | None:
        """The most by which adding or removing one user changes `estimate`, in users.

        None if there is no such bound; then no noise can be added that would hide a user.
        """
        ...

    @property
    def variance(self) -> CountVariance:
        """Of `estimate`, without any noise; zero if it is exact."""
        ...

    def add(self, users: BitMap) -> None:
        """Count these users; those counted already change nothing."""
        ...

    def remove(self, users: BitMap) -> None:
        """Stop counting these users; those not counted change nothing.

        Raises:
            IncompatibleSketchError: if the sketch does not support removal.
        """
        ...

    def union(self, other: Self) -> Self:
        """A new sketch of everyone in either.

        Raises:
            IncompatibleSketchError: if the other was made with other parameters.
        """
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
