"""HyperLogLog, rebuilt from scratch for each release: private by its own randomness.

A HyperLogLog cannot forget anyone, and under a fixed hash nothing bounds what one user does to
it. So none is kept: at a release one is made from those who are active, under a key of its own,
and thrown away with the key. With the threshold and the phantoms of `privacy.intrinsic`, where
the theorem and its proof stand, the registers and everything computed from them are ε-DP.

**The hash.** User u has the block AES-256(key, u ‖ 0), phantom j the block AES-256(key, j ‖ 1). The
first 64 bits decide who is kept, the last 64 give the register (the lowest bits) and the rank (one
more than the zeros that follow). For distinct inputs AES gives distinct blocks, not independent
ones; with q of them the difference is at most q²/2^129, below 10^−19 for 2^32 users.

**The estimate.** DataSketches' composite estimate, a function of the registers. Its default, the
historic inverse probability, depends on the order of insertion and is not covered by the theorem.
It is not reachable from here: the registers are handed over as a serialised sketch that is marked
out of order, for which DataSketches has no other estimate than the composite one.
"""

import secrets
import struct
from typing import ClassVar, Self

import datasketches
import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.errors import IncompatibleSketchError
from dpdau.model.bitmaps import indices_of
from dpdau.model.counting import CountVariance

__all__ = ["HllppSketch"]

_WORD_BITS = 64
_WORDS = 2.0**_WORD_BITS
_KEY_BYTES = 32
_USERS, _PHANTOMS = 0, 1
_CHUNK = 2**20
_HEADER = struct.Struct("<8sBQQ32s")
_MAGIC = b"dpdauHL1"
_FEWEST_BITS, _MOST_BITS = 4, 21

# https://datasketches.apache.org/docs/HLL/HllSketches.html: a preamble of ten integers, then one
# byte for each register.
_PREAMBLE = struct.Struct("<8B3d2I")
_PREAMBLE_INTS, _VERSION, _FAMILY = 10, 1, 7
_COMPACT, _OUT_OF_ORDER = 8, 16
_HLL_MODE, _HLL_8 = 2, 2 << 2
_RANKS_OF_FIRST_SUM, _RANKS = 32, 64


class HllppSketch:
    """The registers of one key; with fitting parameters, they are private.

    Formal guarantees:
        Made with an `IntrinsicMechanism`'s `threshold` and `phantoms`, and a key of its own:
        `estimate` is ε-DP with that mechanism's ε, for adding or removing one user. The key, and
        so `to_bytes`, must not be published. Source: `privacy.intrinsic`.
    """

    supports_removal: ClassVar[bool] = False

    def __init__(
        self,
        log2_registers: int,
        threshold: int,
        phantoms: int,
        *,
        key: bytes | None = None,
        registers: NDArray[np.uint8] | None = None,
    ) -> None:
        """Make a sketch that holds the phantoms only, or what the registers tell.

        Args:
            log2_registers: 4 to 21.
            threshold: users whose 64-bit word is below are kept; 1 to 2^64 − 1.
            phantoms: users that are counted in every sketch, 0 to 2^63.
            key: 32 secret bytes; by default fresh ones from the operating system.
            registers: m ranks made with the same parameters; the phantoms are among them.
        """
        self._log2_registers = log2_registers
        self._threshold = threshold
        self._phantoms = phantoms
        self._key = secrets.token_bytes(_KEY_BYTES) if key is None else key
        if registers is not None:
            self._registers = registers.copy()
            return
        self._registers = np.zeros(2**log2_registers, dtype=np.uint8)
        for first in range(0, phantoms, _CHUNK):
            last = min(first + _CHUNK, phantoms)
            self._insert(np.arange(first, last, dtype=np.uint64), _PHANTOMS)

    @property
    def sensitivity(self) -> int | None:
        """None: no bound holds, and none is needed."""
        return None

    @property
    def variance(self) -> CountVariance:
        """Of the estimate, in the number of users."""
        kept = self._threshold / _WORDS
        return CountVariance.of_hyperloglog(self._log2_registers, kept, self._phantoms)

    def add(self, users: BitMap) -> None:
        """Count these users."""
        indices = indices_of(users)
        for first in range(0, len(indices), _CHUNK):
            self._insert(indices[first : first + _CHUNK].astype(np.uint64), _USERS)

    def remove(self, users: BitMap) -> None:
        """Refuse.

        Raises:
            IncompatibleSketchError: always.
        """
        raise IncompatibleSketchError(
            f"A HyperLogLog cannot forget {len(users):,} users: make a new one from those who stay."
        )

    def union(self, other: Self) -> Self:
        """A new sketch of everyone in either.

        Raises:
            IncompatibleSketchError: if the other was made with another key or other parameters.
        """
        if self._parameters() != other._parameters():
            raise IncompatibleSketchError(
                "The two sketches have different keys or sizes: build both with one key."
            )
        return type(self)(
            self._log2_registers,
            self._threshold,
            self._phantoms,
            key=self._key,
            registers=np.maximum(self._registers, other._registers),
        )

    def estimate(self) -> int:
        """The number of users, without the phantoms; may be negative."""
        kept = self._threshold / _WORDS
        return round(self._composite_estimate() / kept) - self._phantoms

    def to_bytes(self) -> bytes:
        """Parameters, key and registers; private, because of the key."""
        return _HEADER.pack(_MAGIC, *self._parameters()) + self._registers.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        message = f"{len(data):,} bytes are no sketch of this kind."
        if len(data) < _HEADER.size:
            raise IncompatibleSketchError(message)
        magic, log2_registers, threshold, phantoms, key = _HEADER.unpack_from(data)
        registers = np.frombuffer(data, dtype=np.uint8, offset=_HEADER.size)
        if (
            magic != _MAGIC
            or not _FEWEST_BITS <= log2_registers <= _MOST_BITS
            or len(registers) != 2**log2_registers
            or registers.max() > _WORD_BITS - log2_registers + 1
            or threshold == 0
        ):
            raise IncompatibleSketchError(message)
        return cls(log2_registers, threshold, phantoms, key=key, registers=registers)

    def _parameters(self) -> tuple[int, int, int, bytes]:
        return self._log2_registers, self._threshold, self._phantoms, self._key

    def _insert(self, numbers: NDArray[np.uint64], domain: int) -> None:
        """Hash users or phantoms, and raise the registers of those who are kept."""
        blocks = np.empty((len(numbers), 2), dtype="<u8")
        blocks[:, 0] = numbers
        blocks[:, 1] = domain
        # One block each and each input once: the mode that is unsafe for messages is the one
        # that computes the bare permutation.
        cipher = Cipher(AES(self._key), ECB()).encryptor()  # noqa: S305 - as said # nosec B305
        words = np.frombuffer(cipher.update(blocks.tobytes()), dtype="<u8").reshape(-1, 2)
        kept = words[words[:, 0] < np.uint64(self._threshold), 1]
        registers = kept & np.uint64(2**self._log2_registers - 1)
        ranks = _ranks(kept >> np.uint64(self._log2_registers), self._log2_registers)
        np.maximum.at(self._registers, registers.astype(np.intp), ranks)

    def _composite_estimate(self) -> float:
        """DataSketches' estimate of how many distinct hashes were kept."""
        counts = np.bincount(self._registers, minlength=_RANKS)
        # Sums of powers of two, exact in floats.
        shares = counts * 2.0 ** -np.arange(_RANKS)
        preamble = _PREAMBLE.pack(
            _PREAMBLE_INTS,
            _VERSION,
            _FAMILY,
            self._log2_registers,
            0,
            _COMPACT | _OUT_OF_ORDER,
            0,
            _HLL_MODE | _HLL_8,
            0.0,
            float(shares[:_RANKS_OF_FIRST_SUM].sum()),
            float(shares[_RANKS_OF_FIRST_SUM:].sum()),
            int(counts[0]),
            0,
        )
        sketch = datasketches.hll_sketch.deserialize(preamble + self._registers.tobytes())
        return float(sketch.get_estimate())


def _ranks(bits: NDArray[np.uint64], log2_registers: int) -> NDArray[np.uint8]:
    """One more than the number of zeros at the low end of 64 − log2_registers bits."""
    ended = bits | np.uint64(2 ** (_WORD_BITS - log2_registers))
    lowest = ended & (~ended + np.uint64(1))
    return np.bitwise_count(lowest - np.uint64(1)) + np.uint8(1)
