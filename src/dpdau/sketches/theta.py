"""A hash sample at a rate that is fixed ahead: removable, and of known sensitivity.

A theta sketch, or k minimum values, lowers its threshold as it fills. One user whose hash is small
moves the threshold, and with it the estimate, by about n/k: no noise of a bounded scale hides that.
Here the threshold p = 2^−k is part of the configuration. A user is in the sample if a keyed hash
of their id is below it (`hashing.Sampler`); nobody else is ever stored; and the count of the sample
is multiplied by 2^k.

Formal guarantees:
    Unit: one user's whole stream. Neighbours: add or remove it. Whether a user is in the sample
    follows from their id and the key, and from nobody else's data. So the neighbour either changes
    nothing, or changes who is counted by that one user: `estimate` changes by 0 or 2^k, a vector of
    daily estimates by 0 or 2^k times the user's presence vector. `sensitivity` is 2^k. This holds
    for every key, also a known one, and no amplification by sampling is claimed: the key is the
    same for all releases.

**What is measured.** The count y of the sample is made a number of users before noise is added:
2^k·y + g with integer noise g for sensitivity Δ = 2^k, in a continual series Σ C[d, j]·2^k·y_j + g_d.
Multiplying afterwards, 2^k·(y + g') with g' for sensitivity 1, has the same price: Laplace's Δ/scale
and zCDP's ‖C·Δv‖²/2σ² do not change if Δ and the noise are both multiplied by 2^k. Both forms are
exact in integers and differ in granularity only. The first is taken since then plan, charge, noise
and interval all state Δ = 2^k in users, which an auditor recomputes without knowing of samples, and
since discrete noise of a larger scale is nearer to its continuous figures.

**Error.** Over the choice of the key, y is Binomial(N, 2^−k): `estimate` is unbiased with variance
N·(2^k − 1), independent of the noise. The same people are sampled on every day, so these errors
hardly change from one day to the next.
"""

from typing import ClassVar, Self

from pyroaring import BitMap

from dpdau.errors import IncompatibleSketchError
from dpdau.model.counting import CountVariance
from dpdau.sketches.set import SetSketch

__all__ = ["ThetaSketch"]


class ThetaSketch:
    """The sampled users, each of whom stands for 2^k.

    Attributes:
        exponent: k of the sampling rate 2^−k.
    """

    supports_removal: ClassVar[bool] = True

    def __init__(self, exponent: int, sampled: SetSketch | None = None) -> None:
        """Make a sketch of sampled users.

        Args:
            exponent: k, 0 to 255.
            sampled: who is in it; the sketch takes it over.
        """
        self.exponent = exponent
        self._sampled = SetSketch() if sampled is None else sampled

    @property
    def sensitivity(self) -> int:
        """2^k users."""
        return 1 << self.exponent

    @property
    def variance(self) -> CountVariance:
        """Of the estimate, over the choice of the sampling key."""
        return CountVariance.of_sample(self.exponent)

    def add(self, users: BitMap) -> None:
        """Count these sampled users."""
        self._sampled.add(users)

    def remove(self, users: BitMap) -> None:
        """Stop counting these sampled users; exact."""
        self._sampled.remove(users)

    def union(self, other: Self) -> Self:
        """A new sketch of everyone in either; exact on the sample.

        Raises:
            IncompatibleSketchError: if the other has another rate.
        """
        if self.exponent != other.exponent:
            raise IncompatibleSketchError(
                f"The rates 1/{2**self.exponent} and 1/{2**other.exponent} differ: "
                "only samples of one rate have a union."
            )
        return type(self)(self.exponent, self._sampled.union(other._sampled))

    def estimate(self) -> int:
        """The number of users, a multiple of 2^k."""
        return self._sampled.estimate() << self.exponent

    def to_bytes(self) -> bytes:
        """One byte for k, then the portable Roaring format."""
        return bytes([self.exponent]) + self._sampled.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        if not data:
            raise IncompatibleSketchError("0 bytes are no sketch of this kind.")
        return cls(data[0], SetSketch.from_bytes(data[1:]))
