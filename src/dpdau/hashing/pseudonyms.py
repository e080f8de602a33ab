"""Pseudonyms: 64-bit keyed hashes that stand for user ids inside the store.

A pseudonym is SipHash-2-4 (Aumasson & Bernstein 2012) of the UTF-8 bytes of the user id under a
128-bit key derived from the secret. Without the secret it can neither be computed nor inverted
by guessing ids. It does not depend on the day, since a person hashed differently on two days of
one window would be counted twice.

Two of n people share a pseudonym with probability about n²/2⁶⁵: 3·10⁻⁶ for ten million. They
would be counted as one, and a person's effect on any count stays at most one.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import siphashc
from numpy.typing import NDArray

from dpdau.hashing.siphash import siphash_2_4
from dpdau.model.texts import FoldedColumn, TextColumn

__all__ = ["Pseudonymizer", "Sampler"]

_SAMPLING_KEY_BYTES = 16
# Of fewer texts, strings and a call for each cost less than operations on columns.
_MANY_TEXTS = 1_000


class Pseudonymizer:
    """Turns user ids into pseudonyms under one secret."""

    def __init__(self, secret: str, previous: "Pseudonymizer | None" = None) -> None:
        """Derive the keys.

        Args:
            secret: the secret in force.
            previous: of the secret before it, while people are known by its pseudonyms.
        """
        self._previous = previous
        self._key = _derive(secret, b"pseudonym", 16)
        self.key_check_value = _derive(secret, b"key check", 16).hex()
        self._request_key = _derive(secret, b"erasure request", 32)

    def pseudonyms(self, user_ids: Sequence[str]) -> NDArray[np.uint64]:
        """The pseudonym of each id, in the same order.

        Args:
            user_ids: n strings that UTF-8 can encode.

        Returns:
            n unsigned 64-bit integers.
        """
        return _hashes(self._key, user_ids)

    def previous_pseudonyms(self, user_ids: Sequence[str]) -> NDArray[np.uint64] | None:
        """The same under the previous secret; None if there is none."""
        return None if self._previous is None else self._previous.pseudonyms(user_ids)

    def requests(self, name: str, user_ids: Sequence[str]) -> list[tuple[str, str]]:
        """How a request is remembered: keyed hashes of its name and of whom it names.

        Args:
            name: what its sender calls it, which may hold an identity; UTF-8 can encode it.
            user_ids: n strings that UTF-8 can encode; order and repetition do not matter.

        Returns:
            One pair for each secret that may have been used, the one in force first.
        """
        people = np.unique(self.pseudonyms(user_ids)).astype("<u8").tobytes()
        own = self._request_hash(name.encode(), b"name"), self._request_hash(people, b"people")
        earlier = [] if self._previous is None else self._previous.requests(name, user_ids)
        return [own, *earlier]

    def _request_hash(self, content: bytes, about: bytes) -> str:
        return hashlib.blake2b(
            content, key=self._request_key, person=about, digest_size=16
        ).hexdigest()


@dataclass(frozen=True, slots=True)
class Sampler:
    """Decides once and for all who is in a hash sample: a share 2^−k of all user ids.

    The decision is SipHash-2-4 of the id under a key that is drawn when the store is made and kept
    in it. It does not depend on the secret of the pseudonyms, so the sample survives a change of
    that secret. The key is no secret that privacy rests on: one user changes a sampled count by at
    most 2^k under every key, and that is what noise is calibrated to. It is random so that nobody
    can choose ids that are in the sample, or out of it, and it is not the pseudonym, so that the
    pseudonyms of sampled users remain uniform.

    Attributes:
        key: 16 bytes.
        exponent: k, at least 1.
    """

    key: bytes
    exponent: int

    @classmethod
    def create(cls, exponent: int) -> "Sampler":
        """A sampler with a key from the operating system."""
        return cls(secrets.token_bytes(_SAMPLING_KEY_BYTES), exponent)

    @classmethod
    def parse(cls, text: str) -> "Sampler":
        """Read `str()` of a sampler."""
        exponent, key = text.split(":")
        return cls(bytes.fromhex(key), int(exponent))

    def __str__(self) -> str:
        return f"{self.exponent}:{self.key.hex()}"

    def sampled(self, user_ids: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each id is in the sample, in the same order.

        Args:
            user_ids: n strings that UTF-8 can encode.
        """
        return _hashes(self.key, user_ids) < np.uint64(2 ** (64 - self.exponent))


def _hashes(key: bytes, user_ids: Sequence[str]) -> NDArray[np.uint64]:
    """SipHash-2-4 of each id; ids that repeat in a folded column are hashed once."""
    if isinstance(user_ids, FoldedColumn):
        return np.take(_hashes(key, user_ids.values), user_ids.codes)
    if isinstance(user_ids, TextColumn) and len(user_ids) >= _MANY_TEXTS:
        return siphash_2_4(key, user_ids)
    hashes = map(partial(siphashc.siphash, key), user_ids)
    return np.fromiter(hashes, dtype=np.uint64, count=len(user_ids))


def _derive(secret: str, purpose: bytes, size: int) -> bytes:
    """A key for one purpose; keys for different purposes are independent (RFC 7693, keyed)."""
    master = hashlib.blake2b(secret.encode(), person=b"dpdau secret").digest()
    return hashlib.blake2b(purpose, key=master, digest_size=size).digest()
