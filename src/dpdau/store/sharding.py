"""Shards: 65,536 user indices each, one container of a Roaring bitmap."""

from functools import lru_cache

import numpy as np
from pyroaring import BitMap

from dpdau.model.bitmaps import indices_of

__all__ = ["NOBODY", "SHARD_BITS", "parts"]

NOBODY = BitMap()
"""No users; not to be changed."""

SHARD_BITS = 16


def parts(users: BitMap) -> dict[int, BitMap]:
    """These users by shard, ascending."""
    shards = np.unique(indices_of(users) >> SHARD_BITS).tolist()
    return {shard: users & _range(shard) for shard in shards}


@lru_cache(maxsize=1024)
def _range(shard: int) -> BitMap:
    return BitMap(range(shard << SHARD_BITS, (shard + 1) << SHARD_BITS))
