"""Apache DataSketches' compact theta sketches: what Druid, BigQuery and others exchange.

A compact theta sketch is a threshold θ ≤ 2^63 and all hashes below it, 63-bit and distinct; it
estimates as many users as it has hashes, times 2^63/θ. A sample at rate 2^−k is one with θ = 2^(63−k)
if its hashes are uniform below θ. Raw ids are not kept, so the hash of a user is made from the
pseudonym: its highest 63 − k bits. Pseudonyms are uniform, also among sampled users, since the
sampling hash has a key of its own.

Such sketches have unions and intersections with each other if they come from one store. With
sketches made elsewhere from raw ids, or by a store with another secret, they share no hashes: a
union would count a person once for each.

Hashes of 63 − k bits collide for about n²/2^(64−k) of n sampled users, and the hash 0 is not allowed:
for ten million users and k = 4 that is one user in ten thousand exports.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import datasketches
import numpy as np
from numpy.typing import NDArray

from dpdau.errors import IncompatibleSketchError

__all__ = ["CompactTheta", "read_compact_theta", "union_of", "write_compact_theta"]

# https://datasketches.apache.org/docs/Theta/ThetaSketches.html; the hash of the default seed 9001
# is what others check before they open a sketch.
_PREAMBLE = struct.Struct("<BBBHBHIxxxx")
_VERSION, _FAMILY, _SEED_HASH = 3, 3, 37_836
_READ_ONLY, _EMPTY, _COMPACT, _ORDERED = 2, 4, 8, 16
_HASH_BITS = 63
_LARGEST_THETA = 2**_HASH_BITS - 1
_MOST_UNION_BITS = 26


@dataclass(frozen=True, slots=True)
class CompactTheta:
    """What a compact theta sketch holds; private, like all that is made from activity.

    Attributes:
        hashes: how many users are in the sample.
        rate: θ/2^63, the rate at which users were sampled.
        estimate: the number of users.
    """

    hashes: int
    rate: float
    estimate: float


def write_compact_theta(pseudonyms: NDArray[np.uint64], exponent: int) -> bytes:
    """The compact sketch of sampled users.

    Args:
        pseudonyms: of the n users in the sample, uint64, in any order.
        exponent: k of the sampling rate 2^−k, 0 to 16.

    Returns:
        8n bytes and a preamble of at most 24.
    """
    hashes = np.unique(pseudonyms >> np.uint64(exponent + 1))
    hashes = hashes[(hashes > 0) & (hashes < np.uint64(_LARGEST_THETA))]
    flags = _READ_ONLY | _COMPACT | _ORDERED
    if exponent == 0:
        flags |= 0 if len(hashes) else _EMPTY
        theta = b""
    else:
        theta = struct.pack("<Q", 2 ** (_HASH_BITS - exponent))
    longs = (_PREAMBLE.size + len(theta)) // 8
    preamble = _PREAMBLE.pack(longs, _VERSION, _FAMILY, 0, flags, _SEED_HASH, len(hashes))
    return preamble + theta + hashes.astype("<u8").tobytes()


def read_compact_theta(data: bytes) -> CompactTheta:
    """What a compact sketch holds, as DataSketches reads it.

    Raises:
        IncompatibleSketchError: if the bytes are no compact theta sketch of the default seed.
    """
    return _held(_opened(data))


def union_of(sketches: Sequence[bytes]) -> CompactTheta:
    """Everyone who is in any of these compact sketches, counted once.

    Raises:
        IncompatibleSketchError: as `read_compact_theta`.
    """
    union = datasketches.theta_union(_MOST_UNION_BITS)
    for data in sketches:
        union.update(_opened(data))
    return _held(union.get_result())


def _opened(data: bytes) -> datasketches.compact_theta_sketch:
    try:
        sketch = datasketches.compact_theta_sketch.deserialize(data)
    except (ValueError, IndexError, RuntimeError) as error:
        message = f"{len(data):,} bytes are no compact theta sketch: {error}."
        raise IncompatibleSketchError(message) from None
    # DataSketches takes any threshold, and divides by it.
    if not 0 < sketch.theta <= 1:
        message = f"{len(data):,} bytes are no compact theta sketch: θ is out of range."
        raise IncompatibleSketchError(message)
    return sketch


def _held(sketch: datasketches.compact_theta_sketch) -> CompactTheta:
    return CompactTheta(sketch.num_retained, sketch.theta, sketch.get_estimate())
