"""Shards: 65,536 user indices each, one container of a Roaring bitmap."""

from functools import lru_cache

import numpy as np
from pyroaring import BitMap

__all__ = ["NOBODY", "SHARD_BITS", "parts"]

NOBODY = BitMap()
"""No users; not to be changed."""

SHARD_BITS = 16


def parts(users: BitMap) -> dict[int, BitMap]:
    """These users by shard, ascending."""
    indices = np.frombuffer(users.to_array(), dtype=np.uint32)
    return {shard: users & _range(shard) for shard in np.unique(indices >> SHARD_BITS).tolist()}


@lru_cache(maxsize=1024)
def _range(shard: int) -> BitMap:
    return BitMap(range(shard << SHARD_BITS, (shard + 1) << SHARD_BITS))
