"""Shards: 65,536 user indices each, one container of a Roaring bitmap."""

from array import array
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

__all__ = ["NOBODY", "SHARD_BITS", "bitmap_of", "indices_of", "parts"]

NOBODY = BitMap()
"""No users; not to be changed."""

SHARD_BITS = 16


def parts(users: BitMap) -> dict[int, BitMap]:
    """These users by shard, ascending."""
    shards = np.unique(indices_of(users) >> SHARD_BITS).tolist()
    return {shard: users & _range(shard) for shard in shards}


def indices_of(users: BitMap) -> NDArray[np.uint32]:
    """These users as an array, ascending."""
    return np.frombuffer(users.to_array(), dtype=np.uint32)


def bitmap_of(indices: NDArray[np.uint32]) -> BitMap:
    """Users whose indices are given ascending."""
    # As a buffer in order: one by one it takes six times as long.
    return BitMap(array("I", indices.tobytes()))


@lru_cache(maxsize=1024)
def _range(shard: int) -> BitMap:
    return BitMap(range(shard << SHARD_BITS, (shard + 1) << SHARD_BITS))
