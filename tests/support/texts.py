"""Columns of texts as a decoder makes them."""

from collections.abc import Sequence

import numpy as np

from dpdau.model.texts import TextColumn

__all__ = ["text_column"]


def text_column(texts: Sequence[str]) -> TextColumn:
    """These texts one behind the other, with other bytes before and between them."""
    octets = [text.encode() for text in texts]
    lengths = np.array([len(each) for each in octets], dtype=np.int64)
    starts = np.cumsum(lengths + 1, dtype=np.int64) - lengths
    buffer = b"".join(b"," + each for each in octets)
    return TextColumn(np.frombuffer(buffer, dtype=np.uint8), starts, lengths)
