"""Users, their indices and the tombstones of erased ones."""

import numpy as np
from pyroaring import BitMap

from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import Store
from support.stores import DAY, MAX_UINT64, pseudonyms, tombstones, tombstones_as_rows


def test_an_empty_store_knows_nothing(store: Store) -> None:
    key = SeriesKey(Metric.MAU, 30, "2025-10")
    with store.read() as reader:
        assert reader.user_indices(pseudonyms(1, 2)).tolist() == [-1, -1]
        assert tombstones_as_rows(reader.tombstones(pseudonyms(1, 2))) == []
        assert tombstones_as_rows(reader.tombstones()) == []
        assert reader.known_users() == BitMap()
        assert reader.pseudonyms_of(np.array([0, 9_999])).tolist() == [0, 0]
        assert reader.index_bound() == 0
        assert reader.members(0, DAY) == BitMap()
        assert reader.ledger() == []
        assert reader.ledger_head() is None
        assert reader.ledger_row(LedgerKind.RELEASE, "dau") is None
        assert reader.series_state(key) is None
        assert reader.series_keys() == []
        assert reader.erasure("unknown") is None
        assert reader.erasure_of("unknown") is None
        assert reader.erasures() == reader.unfinished_erasures() == []
        assert reader.meta("unknown") is None


def test_new_users_get_dense_indices_in_the_order_given(store: Store) -> None:
    with store.write() as transaction:
        assert transaction.allot_indices(pseudonyms(30, 10, 20)).tolist() == [0, 1, 2]
        assert transaction.allot_indices(pseudonyms(40)).tolist() == [3]


def test_known_users_keep_their_index(store: Store) -> None:
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(10, 20))
    with store.write() as transaction:
        assert transaction.allot_indices(pseudonyms(30, 20, 40, 10)).tolist() == [2, 1, 3, 0]


def test_allotting_indices_to_known_users_only_uses_none_up(store: Store) -> None:
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(10, 20))
        transaction.allot_indices(pseudonyms(20, 10))
        assert transaction.allot_indices(pseudonyms(30)).tolist() == [2]


def test_look_ups_answer_in_the_order_asked_with_minus_one_for_strangers(store: Store) -> None:
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(10, 20, 30))
    with store.read() as reader:
        assert reader.user_indices(pseudonyms(30, 99, 10, 30)).tolist() == [2, -1, 0, 2]


def test_empty_batches_are_answered_with_empty_arrays(store: Store) -> None:
    with store.write() as transaction:
        assert transaction.allot_indices(pseudonyms()).dtype == np.int64
        assert transaction.user_indices(pseudonyms()).tolist() == []
        assert tombstones_as_rows(transaction.tombstones(pseudonyms())) == []
        assert transaction.pseudonyms_of(np.array([], dtype=np.int64)).tolist() == []
        transaction.put_tombstones(tombstones())
        transaction.rename(pseudonyms(), pseudonyms())
        transaction.forget_users(pseudonyms())
        transaction.update_members(DAY, BitMap(), BitMap())
        assert transaction.erase_members(BitMap()) == 0


def test_pseudonyms_use_all_64_bits(store: Store) -> None:
    extremes = pseudonyms(2, 1, 2**63 - 1, 2**63, 2**63 + 1, MAX_UINT64)
    erased = [(2**63, DAY, DAY, 3), (MAX_UINT64, DAY, DAY, -1)]
    with store.write() as transaction:
        transaction.allot_indices(extremes)
        transaction.put_tombstones(tombstones(*erased))
    with store.read() as reader:
        assert reader.user_indices(extremes).tolist() == [0, 1, 2, 3, 4, 5]
        assert tombstones_as_rows(reader.tombstones(extremes)) == erased
        assert tombstones_as_rows(reader.tombstones()) == erased
        assert np.array_equal(reader.pseudonyms_of(np.arange(6)), extremes)


def test_a_forgotten_user_is_a_stranger_and_others_are_not(store: Store) -> None:
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(10, 2**63 + 20, 30))
        transaction.forget_users(pseudonyms(2**63 + 20, 99))
    with store.read() as reader:
        found = reader.user_indices(pseudonyms(10, 2**63 + 20, 30))
        assert found.tolist() == [0, -1, 2]


def test_the_index_of_a_forgotten_user_is_never_given_to_anyone_else(store: Store) -> None:
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(10, 20))
        transaction.forget_users(pseudonyms(10, 20))
    with store.write() as transaction:
        assert transaction.allot_indices(pseudonyms(30, 10)).tolist() == [2, 3]


def test_a_returning_person_gets_the_index_of_their_tombstone(store: Store) -> None:
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(10, 2**63 + 20, 30))
        transaction.forget_users(pseudonyms(2**63 + 20, 30))
        transaction.put_tombstones(tombstones((2**63 + 20, DAY, DAY, 1), (30, DAY, DAY, -1)))
    with store.write() as transaction:
        returned = transaction.allot_indices(pseudonyms(40, 2**63 + 20, 30, 10, 50))
        assert returned.tolist() == [3, 1, 4, 0, 5]
    with store.read() as reader:
        assert reader.user_indices(pseudonyms(2**63 + 20, 30)).tolist() == [1, 4]


def test_returning_people_alone_use_no_new_index_up(store: Store) -> None:
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(10))
        transaction.forget_users(pseudonyms(10))
        transaction.put_tombstones(tombstones((10, DAY, DAY, 0)))
        assert transaction.allot_indices(pseudonyms(10)).tolist() == [0]
        assert transaction.allot_indices(pseudonyms(20)).tolist() == [1]


def test_batches_of_hundreds_of_thousands_are_stored(store: Store) -> None:
    many = np.arange(2**63 - 100_000, 2**63 + 100_000, dtype=np.uint64)
    with store.write() as transaction:
        indices = transaction.allot_indices(many)
        transaction.update_members(DAY, BitMap(indices), BitMap())
        transaction.update_members(DAY, BitMap(), BitMap(indices[::2]))
    with store.read() as reader:
        assert np.array_equal(reader.user_indices(many), np.arange(200_000))
        assert reader.members(DAY, DAY) == BitMap(range(1, 200_000, 2))


def test_a_later_tombstone_replaces_the_earlier_one(store: Store) -> None:
    with store.write() as transaction:
        transaction.put_tombstones(tombstones((10, DAY, DAY, 4), (20, DAY, DAY, -1)))
        transaction.put_tombstones(tombstones((10, DAY + 5, DAY + 6, -1)))
    with store.read() as reader:
        assert tombstones_as_rows(reader.tombstones(pseudonyms(20, 10, 99))) == [
            (10, DAY + 5, DAY + 6, -1),
            (20, DAY, DAY, -1),
        ]


def test_known_users_are_those_who_were_not_forgotten(store: Store) -> None:
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(10, 20, 30))
        transaction.forget_users(pseudonyms(20))
        assert transaction.known_users() == BitMap([0, 2])
    with store.read() as reader:
        assert reader.known_users() == BitMap([0, 2])
        assert reader.pseudonyms_of(np.array([2, 1, 0])).tolist() == [30, 0, 10]


def test_renamed_users_and_tombstones_are_found_under_the_new_pseudonym_only(store: Store) -> None:
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(10, 20, 30))
        transaction.put_tombstones(tombstones((40, DAY, DAY, 7), (50, DAY, DAY, -1)))
        transaction.rename(pseudonyms(30, 40, 10, 98), pseudonyms(31, 41, 11, 99))
    with store.read() as reader:
        wanted = pseudonyms(10, 11, 20, 30, 31, 98, 99)
        assert reader.user_indices(wanted).tolist() == [-1, 0, 1, -1, 2, -1, -1]
        assert reader.pseudonyms_of(np.arange(3)).tolist() == [11, 20, 31]
        assert tombstones_as_rows(reader.tombstones()) == [
            (41, DAY, DAY, 7),
            (50, DAY, DAY, -1),
        ]
        assert tombstones_as_rows(reader.tombstones(pseudonyms(41))) == [(41, DAY, DAY, 7)]
        assert tombstones_as_rows(reader.tombstones(pseudonyms(40))) == []


def test_a_renamed_tombstone_takes_in_the_one_that_is_there(store: Store) -> None:
    with store.write() as transaction:
        rows = (40, DAY, DAY + 3, 7), (41, DAY + 1, DAY + 2, -1), (42, DAY, DAY, 5)
        transaction.put_tombstones(tombstones(*rows))
        transaction.rename(pseudonyms(40, 42), pseudonyms(41, 43))
    with store.read() as reader:
        kept = [(41, DAY + 1, DAY + 3, 7), (43, DAY, DAY, 5)]
        assert tombstones_as_rows(reader.tombstones()) == kept
        assert tombstones_as_rows(reader.tombstones(pseudonyms(40, 41, 42))) == kept[:1]
    with store.write() as transaction:
        transaction.put_tombstones(tombstones((44, DAY, DAY, -1)))
    with store.read() as reader:
        assert len(reader.tombstones()) == 3


def test_indices_of_another_copy_are_adopted_and_given_to_nobody_else(store: Store) -> None:
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(10))
        transaction.adopt_indices(pseudonyms(20, 30), np.array([70_000, 5]), 80_000)
        assert transaction.index_bound() == 80_000
        assert transaction.user_indices(pseudonyms(20, 30)).tolist() == [70_000, 5]
    with store.write() as transaction:
        transaction.adopt_indices(pseudonyms(), np.empty(0, dtype=np.int64), 7)
        assert transaction.allot_indices(pseudonyms(40, 10, 20)).tolist() == [80_000, 0, 70_000]
        assert transaction.index_bound() == 80_001
