"""Counting: who is present in a metric on a day, and how many they are, before any noise."""

from collections.abc import Callable, Mapping
from datetime import date

from pyroaring import BitMap

from dpdau.model.releases import SketchKind
from dpdau.pipeline.ports import Reader
from dpdau.sketches import DistinctSketch, SetSketch

__all__ = ["present_users", "sketch_of"]

_SKETCHES: Mapping[SketchKind, Callable[[BitMap], DistinctSketch]] = {SketchKind.SET: SetSketch}


def present_users(reader: Reader, day: date, window_days: int) -> BitMap:
    """The indices of everyone active in the window that ends on a day, end day included."""
    last = day.toordinal()
    return reader.members(last - window_days + 1, last)


def sketch_of(kind: SketchKind, users: BitMap) -> DistinctSketch:
    """A sketch of these users."""
    return _SKETCHES[kind](users)
