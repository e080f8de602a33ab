"""SipHash-2-4 of many short texts at once.

J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012: section 2.1
has the four words of state, the rounds of compression and those of finalisation. Here each word
of the state is a column with a place for every text, so that a step is an operation on columns.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dpdau.model.texts import TextColumn

__all__ = ["siphash_2_4"]

_Words: TypeAlias = NDArray[np.uint64]

_WORD_BYTES = 8
_INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
_BELOW = np.array([(1 << 8 * size) - 1 for size in range(_WORD_BYTES)], dtype=np.uint64)
_FINAL_ROUNDS = 4
# So many texts at a time: their columns stay in the caches of the processor.
_CHUNK_TEXTS = 32_768


def siphash_2_4(key: bytes, texts: TextColumn) -> NDArray[np.uint64]:
    """The hash of each text, in the same order.

    Args:
        key: 16 bytes.
        texts: n texts.
    """
    key_words = np.frombuffer(key, dtype="<u8")
    state = [np.uint64(word) ^ key_words[place % 2] for place, word in enumerate(_INITIAL)]
    words = texts.words()
    hashes = np.empty(len(texts), dtype=np.uint64)
    for start in range(0, len(texts), _CHUNK_TEXTS):
        chunk = slice(start, start + _CHUNK_TEXTS)
        hashes[chunk] = _hashes(state, words, texts.starts[chunk], texts.lengths[chunk])
    return hashes


def _hashes(
    state: Sequence[np.uint64],
    words: _Words,
    starts: NDArray[np.int64],
    lengths: NDArray[np.int64],
) -> _Words:
    """The hashes of a few texts; `words` has the eight bytes that begin at each place."""
    whole = lengths >> 3  # words of eight bytes
    most = int(whole.max())
    order = None
    if int(whole.min()) != most:
        # The longest first, so that those with one word more are the first ones of a column.
        order = np.argsort((most - whole).astype(np.min_scalar_type(most)), kind="stable")
        starts, lengths, whole = starts[order], lengths[order], whole[order]
    columns = [np.full(len(starts), word) for word in state]
    spare = np.empty_like(columns[0])
    for place in range(most):
        has_more = slice(np.count_nonzero(whole > place))
        message = words[starts[has_more] + _WORD_BYTES * place]
        _compress([column[has_more] for column in columns], message, spare[has_more])
    rest = words[starts + _WORD_BYTES * whole] & _BELOW[lengths & 7]
    _compress(columns, rest | (lengths.astype(np.uint64) << np.uint64(56)), spare)
    columns[2] ^= np.uint64(0xFF)
    for _ in range(_FINAL_ROUNDS):
        _round(columns, spare)
    v0, v1, v2, v3 = columns
    hashes = v0 ^ v1 ^ v2 ^ v3
    if order is None:
        return hashes
    in_order = np.empty_like(hashes)
    in_order[order] = hashes
    return in_order


def _compress(columns: Sequence[_Words], message: _Words, spare: _Words) -> None:
    first, _, _, last = columns
    np.bitwise_xor(last, message, out=last)
    _round(columns, spare)
    _round(columns, spare)
    np.bitwise_xor(first, message, out=first)


def _round(columns: Sequence[_Words], spare: _Words) -> None:
    """SipRound (figure 2.1), in place; `spare` is overwritten."""
    v0, v1, v2, v3 = columns
    np.add(v0, v1, out=v0)
    _rotate(v1, 13, spare)
    np.bitwise_xor(v1, v0, out=v1)
    _rotate(v0, 32, spare)
    np.add(v2, v3, out=v2)
    _rotate(v3, 16, spare)
    np.bitwise_xor(v3, v2, out=v3)
    np.add(v0, v3, out=v0)
    _rotate(v3, 21, spare)
    np.bitwise_xor(v3, v0, out=v3)
    np.add(v2, v1, out=v2)
    _rotate(v1, 17, spare)
    np.bitwise_xor(v1, v2, out=v1)
    _rotate(v2, 32, spare)


def _rotate(words: _Words, bits: int, spare: _Words) -> None:
    np.right_shift(words, np.uint64(64 - bits), out=spare)
    np.left_shift(words, np.uint64(bits), out=words)
    np.bitwise_or(words, spare, out=words)
