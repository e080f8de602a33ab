"""Counting: who is present in a metric on a day, and how many they are, before any noise."""

from datetime import date

import numpy as np
from pyroaring import BitMap

from dpdau.model.bitmaps import indices_of
from dpdau.model.counting import Counting
from dpdau.model.releases import SketchKind
from dpdau.pipeline.ports import Reader
from dpdau.privacy.intrinsic import IntrinsicMechanism
from dpdau.sketches import HllppSketch, SetSketch, ThetaSketch, write_compact_theta

__all__ = ["exported_sketch", "intrinsic_estimate", "present_users", "sketch_of"]


def present_users(reader: Reader, day: date, window_days: int) -> BitMap:
    """The indices of everyone active in the window that ends on a day, end day included."""
    last = day.toordinal()
    return reader.members(last - window_days + 1, last)


def sketch_of(counting: Counting, users: BitMap) -> SetSketch | ThetaSketch:
    """A sketch of these users, whose estimate has a sensitivity and needs noise."""
    everyone = SetSketch(users)
    if counting.kind is SketchKind.THETA:
        return ThetaSketch(counting.exponent, everyone)
    return everyone


def intrinsic_estimate(mechanism: IntrinsicMechanism, users: BitMap) -> int:
    """The number of these users by a sketch made for this one question: private as it is.

    Formal guarantees:
        Those of `mechanism`: the key is drawn here, hashes these users once, and is forgotten.
    """
    sketch = HllppSketch(mechanism.log2_registers, mechanism.threshold, mechanism.phantoms)
    sketch.add(users)
    return sketch.estimate()


def exported_sketch(reader: Reader, exponent: int, day: date, window_days: int) -> bytes:
    """Who was active in a window as a compact theta sketch: a true count, not private.

    Args:
        reader: the store.
        exponent: k of the share 2^−k of users that it keeps.
        day: the last day of the window.
        window_days: how many days it has.
    """
    users = indices_of(present_users(reader, day, window_days)).astype(np.int64)
    return write_compact_theta(reader.pseudonyms_of(users), exponent)
