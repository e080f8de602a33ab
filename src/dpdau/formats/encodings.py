"""Compressed bodies and files: gzip (RFC 1952) and zstd (RFC 8878), undone piece by piece.

Compressed input is fed in small pieces, so that the memory in use stays bounded whatever the
input claims to be: a kilobyte becomes at most 1 MiB of gzip's and 32 MiB of zstd's output.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Literal, Protocol, TypeAlias

import zstandard

from dpdau.errors import BatchTooLargeError, MalformedBodyError, UnsupportedMediaTypeError

__all__ = ["Compression", "decompress", "inflate"]

Compression: TypeAlias = Literal["gzip", "zstd"]

_ENCODINGS: dict[str, Compression | None] = {
    "": None,
    "identity": None,
    "gzip": "gzip",
    "x-gzip": "gzip",
    "zstd": "zstd",
}
_SUPPORTED = ("identity", "gzip", "zstd")
_PIECE_BYTES = 1024
_GZIP_WITH_HEADER = 31
_MAX_BODY_WINDOW_BYTES = 1 << 23  # RFC 9659: zstd as a content coding uses at most 8 MiB
_MAX_FILE_WINDOW_BYTES = 1 << 27  # what the zstd program itself reads without being told to


class _Inflater(Protocol):
    """One member of gzip or one frame of zstd."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def decompress(body: bytes, encoding: str | None, max_bytes: int) -> bytes:
    """Undo the content encoding of a body.

    Args:
        body: the bytes as they were sent.
        encoding: the value of Content-Encoding, or None without one.
        max_bytes: the most bytes that the body may have before and after.

    Raises:
        UnsupportedMediaTypeError: for any other encoding than identity, gzip and zstd.
        BatchTooLargeError: as soon as the output exceeds the limit.
        MalformedBodyError: if the bytes are damaged, cut short or not of that encoding.
    """
    name = (encoding or "").strip().lower()
    if name not in _ENCODINGS:
        raise UnsupportedMediaTypeError("Content-Encoding", name, _SUPPORTED)
    compression = _ENCODINGS[name]
    if len(body) > max_bytes:
        raise BatchTooLargeError("bytes", len(body), max_bytes, "MAX_BODY_BYTES")
    if compression is None:
        return body
    pieces: list[bytes] = []
    size = 0
    for piece in inflate([body], compression, max_window_bytes=_MAX_BODY_WINDOW_BYTES):
        size += len(piece)
        if size > max_bytes:
            raise BatchTooLargeError("bytes", None, max_bytes, "MAX_BODY_BYTES")
        pieces.append(piece)
    return b"".join(pieces)


def inflate(
    blocks: Iterable[bytes],
    compression: Compression,
    *,
    max_window_bytes: int = _MAX_FILE_WINDOW_BYTES,
) -> Iterator[bytes]:
    """Undo compression, over any number of members or frames.

    Args:
        blocks: the compressed bytes, cut anywhere.
        compression: which one it is.
        max_window_bytes: the most memory that a zstd frame may ask for.

    Yields:
        The original bytes, cut anywhere.

    Raises:
        MalformedBodyError: at the first damage, or at the end if the input is cut short;
            everything that could be read has been yielded by then.
    """
    start = _starter(compression, max_window_bytes)
    inflater = start()
    fresh = True  # whether the inflater has seen nothing of a member or frame yet
    members = 0
    for piece in _pieces(blocks):
        rest = piece
        while rest:
            if fresh and members and compression == "gzip":
                rest = rest.lstrip(b"\0")  # tape tools pad with zeros
                if not rest:
                    break
            output = _step(inflater, rest, compression)
            fresh = False
            if output:
                yield output
            rest = b""
            if inflater.eof:
                rest, inflater, fresh = inflater.unused_data, start(), True
                members += 1
    if not fresh or not members:
        raise MalformedBodyError(compression, "it is cut short")


def _starter(compression: Compression, max_window_bytes: int) -> Callable[[], _Inflater]:
    if compression == "gzip":
        return lambda: zlib.decompressobj(_GZIP_WITH_HEADER)
    return zstandard.ZstdDecompressor(max_window_size=max_window_bytes).decompressobj


def _step(inflater: _Inflater, data: bytes, compression: Compression) -> bytes:
    try:
        return inflater.decompress(data)
    except (zlib.error, zstandard.ZstdError) as error:
        raise MalformedBodyError(compression, "it is damaged, or something else") from error


def _pieces(blocks: Iterable[bytes]) -> Iterator[bytes]:
    for block in blocks:
        for start in range(0, len(block), _PIECE_BYTES):
            yield block[start : start + _PIECE_BYTES]
