"""Large pieces of CSV without quotes, split as arrays of bytes and not into a string a cell."""

import csv
from collections.abc import Mapping, Sequence

import numpy as np

from dpdau.formats.pieces import LINE_FEED
from dpdau.formats.rules import MAX_LINE_BYTES
from dpdau.model.texts import TextColumn

__all__ = ["split_columns"]

_COMMA = ord(",")


def split_columns(piece: bytes, names: Sequence[str]) -> Mapping[str, TextColumn] | None:
    """The cells of rows of which each is a line, or None if some row may be something else.

    Args:
        piece: lines, without the line feed behind the last.
        names: of the columns, at least two.
    """
    try:
        piece.decode()
    except UnicodeDecodeError:
        return None
    if b"\r" in piece:
        piece = piece.removesuffix(b"\r").replace(b"\r\n", b"\n")
    if b'"' in piece or b"\r" in piece:
        return None
    octets = np.frombuffer(piece + b"\n", dtype=np.uint8)
    is_line_feed = octets == LINE_FEED
    ends = np.flatnonzero(is_line_feed | (octets == _COMMA))
    rows, width = np.count_nonzero(is_line_feed), len(names)
    if len(ends) != rows * width or not is_line_feed[ends[width - 1 :: width]].all():
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts
    # Without the carriage return that it may have had.
    longest_line = np.diff(ends[width - 1 :: width], prepend=-1).max() - 1
    if lengths.max() > csv.field_size_limit() or longest_line >= MAX_LINE_BYTES:
        return None
    return {
        name: TextColumn(octets, starts[place::width], lengths[place::width])
        for place, name in enumerate(names)
    }
