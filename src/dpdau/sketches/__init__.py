"""Counting distinct users: one interface, several representations."""

from dpdau.sketches.base import DistinctSketch
from dpdau.sketches.compact_theta import (
    CompactTheta,
    read_compact_theta,
    union_of,
    write_compact_theta,
)
from dpdau.sketches.hllpp import HllppSketch
from dpdau.sketches.set import SetSketch
from dpdau.sketches.theta import ThetaSketch

__all__ = [
    "CompactTheta",
    "DistinctSketch",
    "HllppSketch",
    "SetSketch",
    "ThetaSketch",
    "read_compact_theta",
    "union_of",
    "write_compact_theta",
]
