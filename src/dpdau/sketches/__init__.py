"""Counting distinct users: one interface, several representations."""

from dpdau.sketches.base import DistinctSketch
from dpdau.sketches.set import SetSketch

__all__ = ["DistinctSketch", "SetSketch"]
