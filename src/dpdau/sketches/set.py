"""The exact set: a Roaring bitmap of user indices (Lemire et al. 2018)."""

from typing import ClassVar, Self

from pyroaring import BitMap

from dpdau.errors import IncompatibleSketchError
from dpdau.model.counting import CountVariance

__all__ = ["SetSketch"]


class SetSketch:
    """Everyone, exactly; a user who is added or removed changes the count by one.

    Formal guarantees:
        `sensitivity` is 1: a set's size changes by at most one when one element is added or
        removed, and a union of sets likewise.
    """

    supports_removal: ClassVar[bool] = True

    def __init__(self, users: BitMap | None = None) -> None:
        self._users = BitMap() if users is None else BitMap(users)

    @property
    def sensitivity(self) -> int:
        """One user."""
        return 1

    @property
    def variance(self) -> CountVariance:
        """None."""
        return CountVariance()

    def add(self, users: BitMap) -> None:
        """Count these users."""
        self._users |= users

    def remove(self, users: BitMap) -> None:
        """Stop counting these users."""
        self._users -= users

    def union(self, other: Self) -> Self:
        """A new set of everyone in either."""
        return type(self)(self._users | other._users)

    def estimate(self) -> int:
        """The number of users."""
        return len(self._users)

    def to_bytes(self) -> bytes:
        """The portable Roaring format."""
        return bytes(self._users.serialize())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the portable Roaring format."""
        try:
            return cls(BitMap.deserialize(data))
        except (ValueError, IndexError) as error:
            message = f"{len(data):,} bytes are not a serialised Roaring bitmap: {error}"
            raise IncompatibleSketchError(message) from None
