"""Text cut at its line feeds into pieces: what is decoded together.

A few thousand events at a time is best where they are strings: what they leave behind in memory is
used again for the next ones while the processor's caches still hold it, which takes a third off the
time of all.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial

import numpy as np

from dpdau.formats.rules import MAX_LINE_BYTES

__all__ = ["COLUMN_ROWS", "LINE_FEED", "PIECE_LINES", "cut", "pieces_of", "text_of", "texts_of"]

LINE_FEED = ord("\n")

PIECE_LINES = 5_000
"""How many lines to decode together if nothing else decides it."""

COLUMN_ROWS = 65_536
"""The same where columns are arrays: an operation on all of it has a cost of its own."""


def cut(text: bytes, max_lines: int = PIECE_LINES) -> Iterator[bytes]:
    """Consecutive parts of at most so many lines, without the line feed behind each part."""
    line_feeds = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == LINE_FEED)
    start = 0
    for end in line_feeds[max_lines - 1 :: max_lines].tolist():
        yield text[start:end]
        start = end + 1
    yield text[start:]


def pieces_of(blocks: Iterable[bytes], max_lines: int) -> Iterator[bytes]:
    """Parts of at most so many lines. Of a line that is too long, the beginning is enough.

    Args:
        blocks: text, cut anywhere.
        max_lines: of each part.
    """
    rest = b""
    for block in blocks:
        lines, line_feed, rest = (rest + block).rpartition(b"\n")
        rest = rest[: MAX_LINE_BYTES + 1]
        if line_feed:
            yield from cut(lines, max_lines)
    if rest:
        yield rest


def text_of(lines: Sequence[bytes], index: int) -> str:
    """One of the lines, to be shown."""
    return lines[index].decode(errors="backslashreplace")


def texts_of(piece: bytes) -> Callable[[int], str]:
    """Gives one of a piece's lines, which are cut apart only if any is asked for."""
    lines = cache(partial(piece.split, b"\n"))
    return lambda index: text_of(lines(), index)
