import gzip
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dpdau.errors import BatchTooLargeError, MalformedBodyError, UnsupportedMediaTypeError
from dpdau.formats import decompress
from dpdau.formats.encodings import Compression, inflate

TEXT = b"the same thing over and over again; " * 3_000
COMPRESS = {"gzip": gzip.compress, "zstd": zstandard.compress}


@pytest.fixture(params=["gzip", "zstd"])
def encoding(request: pytest.FixtureRequest) -> Compression:
    return request.param


@pytest.mark.parametrize("name", [None, "", "identity", " Identity "])
def test_without_an_encoding_the_body_stays_as_it_is(name: str | None) -> None:
    assert decompress(TEXT, name, len(TEXT)) == TEXT


def test_both_encodings_are_undone(encoding: Compression) -> None:
    assert decompress(COMPRESS[encoding](TEXT), encoding.upper(), len(TEXT)) == TEXT
    assert decompress(COMPRESS[encoding](b""), encoding, 1_000) == b""


def test_gzip_has_an_old_name() -> None:
    assert decompress(gzip.compress(TEXT), "x-gzip", len(TEXT)) == TEXT


def test_several_members_are_one_body(encoding: Compression) -> None:
    compress = COMPRESS[encoding]
    body = compress(TEXT) + compress(b"") + compress(b"more")
    assert decompress(body, encoding, 10**6) == TEXT + b"more"


def test_zeros_after_gzip_are_padding() -> None:
    assert decompress(gzip.compress(TEXT) + bytes(3_000), "gzip", 10**6) == TEXT
    padded = gzip.compress(TEXT) + bytes(512) + gzip.compress(b"more")
    assert decompress(padded, "gzip", 10**6) == TEXT + b"more"


def test_a_zstd_stream_without_a_stated_size_is_undone() -> None:
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    body = compressor.compress(TEXT) + compressor.flush()
    assert decompress(body, "zstd", 10**6) == TEXT


@pytest.mark.parametrize("name", ["br", "deflate", "gzip, zstd", "gzip,gzip"])
def test_other_encodings_are_not_supported(name: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="supported are identity, gzip, zstd"):
        decompress(TEXT, name, 10**6)


def test_a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not(
    encoding: Compression,
) -> None:
    body = COMPRESS[encoding](TEXT)
    assert len(decompress(body, encoding, len(TEXT))) == len(TEXT)
    with pytest.raises(BatchTooLargeError, match="MAX_BODY_BYTES"):
        decompress(body, encoding, len(TEXT) - 1)
    with pytest.raises(BatchTooLargeError, match=r"108,000 bytes.*MAX_BODY_BYTES"):
        decompress(TEXT, None, len(TEXT) - 1)


def test_a_bomb_stops_early(encoding: Compression) -> None:
    body = COMPRESS[encoding](bytes(500_000_000 if encoding == "zstd" else 50_000_000))
    inflated = 0
    pieces = inflate([body], encoding)
    while inflated <= 1_000_000:
        inflated += len(next(pieces))
    assert inflated <= 40_000_000
    with pytest.raises(BatchTooLargeError, match="more than 1,000,000 bytes"):
        decompress(body, encoding, 1_000_000)


def test_a_zstd_frame_that_asks_for_too_much_memory_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=26)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = compressor.compress(TEXT) + compressor.flush()
    assert b"".join(inflate([body], "zstd")) == TEXT
    with pytest.raises(MalformedBodyError):
        decompress(body, "zstd", 10**6)


@given(cut=st.integers(0, 10**9))
def test_a_body_cut_short_anywhere_is_malformed(cut: int) -> None:
    for name, compress in COMPRESS.items():
        whole = compress(TEXT)
        with pytest.raises(MalformedBodyError, match="cut short"):
            decompress(whole[: cut % len(whole)], name, 10**6)


def test_damage_is_found(encoding: Compression) -> None:
    body = COMPRESS[encoding](TEXT)
    for damaged in (b"plain text", body + b"tail", body[:-4] + bytes(4) + body[-4:]):
        with pytest.raises(MalformedBodyError, match=r"damaged, or something else|cut short"):
            decompress(damaged, encoding, 10**6)


def test_zlib_is_not_gzip() -> None:
    with pytest.raises(MalformedBodyError, match="not valid gzip"):
        decompress(zlib.compress(TEXT), "gzip", 10**6)


def test_what_could_be_read_comes_before_the_error(encoding: Compression) -> None:
    compress = COMPRESS[encoding]
    received = []
    with pytest.raises(MalformedBodyError):  # noqa: PT012
        for piece in inflate([compress(TEXT), compress(TEXT)[:-5]], encoding):
            received.append(piece)  # noqa: PERF402
    assert b"".join(received).startswith(TEXT)
