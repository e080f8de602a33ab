from datetime import date

import numpy as np
import pytest
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.errors import WrongSecretError
from dpdau.hashing import Pseudonymizer
from dpdau.pipeline.ports import OUTDATED
from dpdau.pipeline.rekeying import admit
from dpdau.pipeline.rotation import KEY_CHECK, Rotation
from dpdau.store import MemoryStore
from support.stores import pseudonyms, tombstones, tombstones_as_rows

FORMER = Pseudonymizer("the former secret of all")
PRESENT = Pseudonymizer("the present secret of all", FORMER)
DAY = date(2025, 11, 20).toordinal()
NOBODY = pseudonyms()


@pytest.fixture
def store() -> MemoryStore:
    """Three people known under the previous secret as 1, 2 and 3, and 3 and 4 erased."""
    store = MemoryStore()
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(1, 2, 3))
        transaction.put_tombstones(tombstones((3, DAY, DAY, 2), (4, DAY - 1, DAY - 1, -1)))
        transaction.update_members(OUTDATED, BitMap([0, 1, 2]), BitMap())
        transaction.put_meta(KEY_CHECK, PRESENT.key_check_value)
        Rotation(
            previous_key_check=FORMER.key_check_value,
            started_on=date(2025, 11, 20),
            users=3,
            tombstones={DAY: 1, DAY - 1: 1},
        ).keep(transaction)
    return store


def move(store: MemoryStore, new: NDArray[np.uint64], old: NDArray[np.uint64]) -> None:
    with store.write() as transaction:
        admit(transaction, PRESENT, new, old)


def indices(store: MemoryStore, *values: int) -> list[int]:
    with store.read() as reader:
        return [int(index) for index in reader.user_indices(pseudonyms(*values))]


def remaining(store: MemoryStore) -> tuple[list[int], dict[int, int]]:
    with store.read() as reader:
        rotation = Rotation.of(reader)
        assert rotation is not None
        return list(reader.members(OUTDATED, OUTDATED)), rotation.tombstones


def test_who_is_named_moves_with_index_and_tombstone(store: MemoryStore) -> None:
    move(store, pseudonyms(13, 11, 13, 19), pseudonyms(3, 1, 3, 9))
    assert indices(store, 1, 2, 3, 11, 13, 19) == [-1, 1, -1, 0, 2, -1]
    with store.read() as reader:
        assert reader.tombstones().pseudonyms.tolist() == [4, 13]
    assert remaining(store) == ([1], {DAY - 1: 1})


def test_who_was_erased_and_unknown_moves_too(store: MemoryStore) -> None:
    move(store, pseudonyms(14), pseudonyms(4))
    with store.read() as reader:
        assert reader.tombstones(pseudonyms(14)).erased_on.tolist() == [DAY - 1]
    assert remaining(store) == ([0, 1, 2], {DAY: 1})


def test_moving_again_changes_nothing(store: MemoryStore) -> None:
    move(store, pseudonyms(11, 13), pseudonyms(1, 3))
    before = remaining(store)
    move(store, pseudonyms(11, 13), pseudonyms(1, 3))
    move(store, NOBODY, NOBODY)
    assert indices(store, 11, 13) == [0, 2]
    assert remaining(store) == before


def test_who_is_known_is_not_looked_for_under_the_previous_secret(store: MemoryStore) -> None:
    move(store, pseudonyms(11), pseudonyms(1))
    # Had they been, they would take over what others have under it.
    move(store, pseudonyms(11), pseudonyms(2))
    assert indices(store, 2, 11) == [1, 0]


def test_who_has_a_tombstone_only_is_looked_for_under_the_previous_secret(
    store: MemoryStore,
) -> None:
    with store.write() as transaction:
        transaction.put_tombstones(tombstones((12, DAY, DAY, -1), (13, DAY + 1, DAY + 1, -1)))
    move(store, pseudonyms(12, 13), pseudonyms(2, 3))
    assert indices(store, 2, 3, 12, 13) == [-1, -1, 1, 2]
    with store.read() as reader:
        found = tombstones_as_rows(reader.tombstones(pseudonyms(3, 12, 13)))
    assert found == [(12, DAY, DAY, -1), (13, DAY + 1, DAY + 1, 2)]
    assert remaining(store) == ([0], {DAY - 1: 1})


def test_of_two_who_shared_a_pseudonym_one_takes_what_it_has(store: MemoryStore) -> None:
    move(store, pseudonyms(22, 12, 11), pseudonyms(2, 2, 1))
    assert sorted(indices(store, 12, 22)) == [-1, 1]
    assert indices(store, 2, 11) == [-1, 0]
    assert remaining(store)[0] == [2]


def test_without_a_rotation_nobody_moves(store: MemoryStore) -> None:
    with store.write() as transaction:
        admit(transaction, PRESENT, pseudonyms(1, 2), None)
    assert remaining(store)[0] == [0, 1, 2]


def test_a_store_whose_secret_was_replaced_admits_nobody(store: MemoryStore) -> None:
    with (
        store.write() as transaction,
        pytest.raises(WrongSecretError, match="replaced by another process"),
    ):
        admit(transaction, FORMER, pseudonyms(1), None)


def test_a_pseudonymizer_hashes_under_the_previous_secret_if_it_has_one() -> None:
    users = ["ada", "λ"]
    previous = PRESENT.previous_pseudonyms(users)
    assert previous is not None
    assert previous.tolist() == FORMER.pseudonyms(users).tolist()
    assert FORMER.previous_pseudonyms(users) is None
