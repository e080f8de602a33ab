"""Who was active on which day."""

from pyroaring import BitMap

from dpdau.pipeline.ports import OUTDATED, Store
from support.pairs import as_pairs
from support.stores import DAY, pseudonyms, tombstones, tombstones_as_rows


def test_members_are_the_union_of_the_days_asked_for(store: Store) -> None:
    with store.write() as transaction:
        transaction.update_members(DAY, BitMap([1, 2, 70_000]), BitMap())
        transaction.update_members(DAY + 1, BitMap([2, 3]), BitMap())
        transaction.update_members(DAY + 3, BitMap([200_000]), BitMap())
    with store.read() as reader:
        assert reader.members(DAY, DAY) == BitMap([1, 2, 70_000])
        assert reader.members(DAY, DAY + 2) == BitMap([1, 2, 3, 70_000])
        assert reader.members(DAY + 1, DAY + 3) == BitMap([2, 3, 200_000])
        assert reader.members(DAY + 2, DAY + 2) == BitMap()
        assert reader.members(DAY + 1, DAY) == BitMap()


def test_members_can_be_looked_for_among_some_users(store: Store) -> None:
    everyone = BitMap([1, 2, 70_000, 140_000, 2**32 - 1])
    with store.write() as transaction:
        transaction.update_members(OUTDATED, everyone, BitMap())
        transaction.update_members(DAY - 150, BitMap([1, 70_000]), BitMap())
        transaction.update_members(DAY, BitMap([2, 70_000, 140_000]), BitMap())
        assert transaction.members(1, DAY, among=everyone) == BitMap([1, 2, 70_000, 140_000])
    with store.read() as reader:
        assert reader.members(1, DAY, among=BitMap([1, 140_000, 9])) == BitMap([1, 140_000])
        assert reader.members(DAY, DAY, among=everyone) == BitMap([2, 70_000, 140_000])
        assert reader.members(DAY + 1, DAY + 9, among=everyone) == BitMap()
        assert reader.members(1, DAY, among=BitMap()) == BitMap()


def test_leaving_takes_users_off_that_day_only(store: Store) -> None:
    with store.write() as transaction:
        transaction.update_members(DAY, BitMap([1, 2, 70_000, 140_000]), BitMap())
        transaction.update_members(DAY + 1, BitMap([1]), BitMap())
        transaction.update_members(DAY, BitMap([3]), BitMap([1, 70_000, 9, 900_000]))
    with store.read() as reader:
        assert reader.members(DAY, DAY) == BitMap([2, 3, 140_000])
        assert reader.members(DAY + 1, DAY + 1) == BitMap([1])


def test_joining_twice_changes_nothing(store: Store) -> None:
    with store.write() as transaction:
        transaction.update_members(DAY, BitMap([1, 70_000]), BitMap())
        transaction.update_members(DAY, BitMap([1, 70_000]), BitMap([2]))
        assert transaction.members(DAY, DAY) == BitMap([1, 70_000])


def test_pairs_of_several_days_are_taken_at_once(store: Store) -> None:
    with store.write() as transaction:
        transaction.update_members(DAY, BitMap([1, 2]), BitMap())
        transaction.update_pairs(as_pairs({}))
        transaction.update_pairs(as_pairs({(DAY, 2): False, (DAY + 1, 70_000): True}))
        transaction.update_pairs(as_pairs({(DAY, 3): True, (DAY + 1, 9): False}))
        assert transaction.members(DAY, DAY) == BitMap([1, 3])
    with store.read() as reader:
        assert reader.members(DAY, DAY) == BitMap([1, 3])
        assert reader.members(DAY + 1, DAY + 1) == BitMap([70_000])


def test_of_many_changes_in_one_transaction_the_last_counts(store: Store) -> None:
    """As many as take more than one byte to number."""
    with store.write() as transaction:
        for number in range(301):
            change = {(DAY, 7): number % 2 == 0, (DAY, 100 + number): True}
            transaction.update_pairs(as_pairs(change))
        transaction.update_pairs(as_pairs({(DAY, 100): False}))
    with store.read() as reader:
        assert reader.members(DAY, DAY) == BitMap([7, *range(101, 401)])


def test_indices_up_to_32_bits_can_be_members(store: Store) -> None:
    ends = BitMap([0, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1])
    with store.write() as transaction:
        transaction.update_members(DAY, ends, BitMap())
        assert transaction.members(DAY, DAY) == ends
        assert transaction.erase_members(BitMap([2**32 - 1])) == 1


def test_a_bitmap_that_a_caller_changes_does_not_change_the_store(store: Store) -> None:
    joins = BitMap([1, 2])
    with store.write() as transaction:
        transaction.update_members(DAY, joins, BitMap())
        joins.add(3)
        transaction.members(DAY, DAY).add(4)
    with store.read() as reader:
        reader.members(DAY, DAY).add(5)
        assert reader.members(DAY, DAY) == BitMap([1, 2])


def test_erasing_takes_users_off_every_day_and_counts_the_pairs(store: Store) -> None:
    with store.write() as transaction:
        transaction.update_members(OUTDATED, BitMap([1, 2]), BitMap())
        transaction.update_members(DAY + 2, BitMap([1, 70_000]), BitMap())
        transaction.update_members(DAY, BitMap([1, 2]), BitMap())
        transaction.update_members(DAY - 150, BitMap([3, 140_000]), BitMap())
    with store.write() as transaction:
        assert transaction.erase_members(BitMap([1, 140_000, 9])) == 3
        assert transaction.erase_members(BitMap([1, 140_000, 9])) == 0
        assert transaction.members(DAY, DAY + 2) == BitMap([2, 70_000])
    with store.read() as reader:
        assert reader.members(OUTDATED, OUTDATED) == BitMap([2])
        assert reader.members(DAY, DAY) == BitMap([2])
        assert reader.members(DAY + 2, DAY + 2) == BitMap([70_000])
        assert reader.members(DAY - 150, DAY - 150) == BitMap([3])
        assert reader.members(OUTDATED + 1, DAY + 2) == BitMap([2, 3, 70_000])


def test_more_days_than_are_kept_in_memory_are_all_remembered(store: Store) -> None:
    with store.write() as transaction:
        for day in range(DAY, DAY + 120):
            transaction.update_members(day, BitMap([day % 7, day]), BitMap())
    with store.write() as transaction:
        transaction.update_members(DAY, BitMap([100]), BitMap([DAY]))
        transaction.update_members(DAY + 119, BitMap([100]), BitMap())
        assert transaction.erase_members(BitMap([DAY % 7])) == 18
    with store.read() as reader:
        for day in range(DAY, DAY + 120):
            expected = {day % 7, day} - {DAY % 7, DAY} | (
                {100} if day in {DAY, DAY + 119} else set()
            )
            assert set(reader.members(day, day)) == expected
        assert len(reader.members(DAY, DAY + 119)) == 119 + 6 + 1


def test_dropping_removes_days_and_tombstones_before_the_day_given(store: Store) -> None:
    kept = (20, DAY - 9, DAY, 1)
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(5))
        for day in (OUTDATED, DAY - 2, DAY - 1, DAY, DAY + 1):
            transaction.update_members(day, BitMap([0, 70_000]), BitMap())
        transaction.put_tombstones(tombstones((10, DAY, DAY - 1, 0), kept))
        transaction.drop_before(DAY)
    with store.read() as reader:
        assert reader.members(OUTDATED, OUTDATED) == BitMap([0, 70_000])
        assert reader.members(OUTDATED + 1, DAY - 1) == BitMap()
        assert reader.members(DAY, DAY) == reader.members(DAY + 1, DAY + 1) == BitMap([0, 70_000])
        assert tombstones_as_rows(reader.tombstones()) == [kept]
        assert reader.user_indices(pseudonyms(5)).tolist() == [0]


def test_days_are_those_on_which_anyone_was_active(store: Store) -> None:
    with store.write() as transaction:
        transaction.update_members(OUTDATED, BitMap([1]), BitMap())
        transaction.update_members(DAY, BitMap([1, 70_000]), BitMap())
        transaction.update_members(DAY - 3, BitMap([2]), BitMap())
        assert transaction.days() == [DAY - 3, DAY]
        transaction.drop_before(DAY)
    with store.read() as reader:
        assert reader.days() == [DAY]


def test_days_that_were_counted_are_empty_once_they_are_dropped(store: Store) -> None:
    with store.write() as transaction:
        for day in (OUTDATED, DAY - 1, DAY):
            transaction.update_members(day, BitMap([0, 70_000]), BitMap())
    with store.read() as reader:
        for day in (OUTDATED, DAY - 1, DAY):
            assert reader.members(day, day) == BitMap([0, 70_000])
    with store.write() as transaction:
        transaction.drop_before(DAY)
        assert transaction.members(DAY - 1, DAY - 1) == BitMap()
    with store.read() as reader:
        assert reader.members(DAY - 1, DAY - 1) == BitMap()
        assert reader.members(DAY, DAY) == BitMap([0, 70_000])
        assert reader.members(OUTDATED, OUTDATED) == BitMap([0, 70_000])


def test_who_joins_and_is_erased_in_one_transaction_is_gone(store: Store) -> None:
    with store.write() as transaction:
        transaction.update_members(DAY, BitMap([1, 2, 70_000]), BitMap())
        assert transaction.erase_members(BitMap([1, 70_000])) == 2
        assert transaction.members(DAY, DAY) == BitMap([2])
        transaction.update_members(DAY, BitMap([1]), BitMap([2]))
    with store.read() as reader:
        assert reader.members(DAY, DAY) == BitMap([1])
