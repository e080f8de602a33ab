"""Lazy re-keying: moving people to the secret in force when they are next heard of.

Formal guarantees:
    Whoever is known, or has a tombstone, under the previous secret and is not known under the
    present one is moved before anything else is done with them, in the same transaction. A
    tombstone under the present secret is no reason not to: after a restore it may be all that the
    store has of someone's move. So nobody ever has two user indices, a
    returning person gets the former index back, and what a tombstone refuses stays refused, as
    if there had been no rotation: every count is the same. Pseudonyms of both secrets live side
    by side, so the chance that two people share one is that of a store with up to twice as many
    people; see `dpdau.hashing`.
"""

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.errors import WrongSecretError
from dpdau.hashing import Pseudonymizer
from dpdau.pipeline.ports import OUTDATED, Transaction
from dpdau.pipeline.rotation import KEY_CHECK, Rotation

__all__ = ["admit"]


def admit(
    transaction: Transaction,
    pseudonymizer: Pseudonymizer,
    pseudonyms: NDArray[np.uint64],
    previous: NDArray[np.uint64] | None,
) -> None:
    """Let a transaction work with pseudonyms: all of them are those in force when this returns.

    Args:
        transaction: the open transaction.
        pseudonymizer: what made them.
        pseudonyms: n of them, possibly repeated, in any order.
        previous: each person's pseudonym under the previous secret; None unless a rotation runs.

    Raises:
        WrongSecretError: if another process has replaced the secret.
    """
    if transaction.meta(KEY_CHECK) not in {None, pseudonymizer.key_check_value}:
        raise WrongSecretError(
            "HASH_SALT_SECRET was replaced by another process while this one ran. Nothing was "
            "changed; start this one again with the same two secrets."
        )
    if previous is not None:
        _move(transaction, *_unknown(transaction, pseudonyms, previous))


def _unknown(
    transaction: Transaction, pseudonyms: NDArray[np.uint64], previous: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """The previous and present pseudonyms of those who are not known at present."""
    new, first = np.unique(pseudonyms, return_index=True)
    moved = transaction.user_indices(new) >= 0
    # People who shared a pseudonym were one person until now: the first takes what it has.
    old, first = np.unique(previous[first[~moved]], return_index=True)
    return old, new[~moved][first]


def _move(transaction: Transaction, old: NDArray[np.uint64], new: NDArray[np.uint64]) -> None:
    """Give people who are known under the previous secret their present pseudonym."""
    indices = transaction.user_indices(old)
    tombstones = transaction.tombstones(old)
    known = indices >= 0
    found = known | np.isin(old, tombstones.pseudonyms)
    if not found.any():
        return
    transaction.rename(old[found], new[found])
    transaction.update_members(OUTDATED, BitMap(), BitMap(indices[known]))
    rotation = Rotation.of(transaction)
    if rotation is not None and len(tombstones):
        rotation.without(tombstones.recorded_on).keep(transaction)
