import numpy as np
import pytest
import siphashc
from hypothesis import given
from hypothesis import strategies as st

from dpdau.hashing.siphash import siphash_2_4
from dpdau.model.texts import TextColumn

KEY = bytes(range(16))


def laid_out(octets: list[bytes], gaps: list[bytes]) -> TextColumn:
    """Texts in one buffer, each behind its gap and none before the end."""
    buffer, starts = b"", []
    for gap, text in zip(gaps, octets, strict=True):
        buffer += gap
        starts.append(len(buffer))
        buffer += text
    return TextColumn(
        np.frombuffer(buffer, dtype=np.uint8),
        np.array(starts, dtype=np.int64),
        np.array([len(text) for text in octets], dtype=np.int64),
    )


def hashes(octets: list[bytes], key: bytes = KEY) -> list[int]:
    return siphash_2_4(key, laid_out(octets, [b""] * len(octets))).tolist()


# Aumasson & Bernstein (2012), appendix A, and the first, ninth and last of the test vectors in the
# authors' implementation: of the bytes 0, 1, 2, … under the same key.
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, 0x726FDB47DD0E0E31),
        (8, 0x93F5F5799A932462),
        (15, 0xA129CA6149BE45E5),
        (63, 0x958A324CEB064572),
    ],
)
def test_it_gives_the_published_values(size: int, expected: int) -> None:
    assert hashes([bytes(range(size))]) == [expected]


@given(
    texts=st.lists(
        st.tuples(
            st.binary(max_size=20) | st.binary(min_size=1, max_size=256), st.binary(max_size=3)
        )
    ),
    key=st.binary(min_size=16, max_size=16),
)
def test_texts_of_all_lengths_anywhere_in_a_buffer_hash_as_one_by_one(
    texts: list[tuple[bytes, bytes]], key: bytes
) -> None:
    octets, gaps = [text for text, _ in texts], [gap for _, gap in texts]
    found = siphash_2_4(key, laid_out(octets, gaps))
    assert found.dtype == np.uint64
    assert found.tolist() == [siphashc.siphash(key, text) for text in octets]


@pytest.mark.parametrize("sizes", [[12], [12, 13, 15], [36, 5, 256, 1]])
def test_more_texts_than_are_hashed_together_keep_their_order(sizes: list[int]) -> None:
    octets = [str(n).encode().rjust(sizes[n % len(sizes)], b"_") for n in range(40_000)]
    assert hashes(octets) == [siphashc.siphash(KEY, text) for text in octets]
