"""Who was active on which day."""

from pyroaring import BitMap

from dpdau.pipeline.ports import Store, Tombstone
from support.stores import DAY, pseudonyms


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


def test_indices_up_to_32_bits_can_be_members(store: Store) -> None:
    ends = BitMap([0, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1])
    with store.write() as transaction:
        transaction.update_members(DAY, ends, BitMap())
        assert transaction.members(DAY, DAY) == ends
        assert transaction.days_of(BitMap([2**32 - 1])) == [DAY]


def test_a_bitmap_that_a_caller_changes_does_not_change_the_store(store: Store) -> None:
    joins = BitMap([1, 2])
    with store.write() as transaction:
        transaction.update_members(DAY, joins, BitMap())
        joins.add(3)
        transaction.members(DAY, DAY).add(4)
    with store.read() as reader:
        reader.members(DAY, DAY).add(5)
        assert reader.members(DAY, DAY) == BitMap([1, 2])


def test_days_of_lists_the_days_on_which_any_of_them_is_active(store: Store) -> None:
    with store.write() as transaction:
        transaction.update_members(DAY + 2, BitMap([1, 70_000]), BitMap())
        transaction.update_members(DAY, BitMap([1, 2]), BitMap())
        transaction.update_members(DAY + 1, BitMap([3, 140_000]), BitMap())
        transaction.update_members(DAY + 1, BitMap(), BitMap([3]))
    with store.read() as reader:
        assert reader.days_of(BitMap([1])) == [DAY, DAY + 2]
        assert reader.days_of(BitMap([2, 70_000])) == [DAY, DAY + 2]
        assert reader.days_of(BitMap([3])) == []
        assert reader.days_of(BitMap([1, 3, 140_000])) == [DAY, DAY + 1, DAY + 2]


def test_dropping_removes_days_and_tombstones_before_the_day_given(store: Store) -> None:
    kept = Tombstone(20, DAY - 9, DAY, 1)
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(5))
        for day in (DAY - 2, DAY - 1, DAY, DAY + 1):
            transaction.update_members(day, BitMap([0, 70_000]), BitMap())
        transaction.put_tombstones([Tombstone(10, DAY, DAY - 1, 0), kept])
        transaction.drop_before(DAY)
    with store.read() as reader:
        assert reader.days_of(BitMap([0])) == [DAY, DAY + 1]
        assert reader.members(0, DAY - 1) == BitMap()
        assert reader.tombstones(pseudonyms(10, 20)) == {20: kept}
        assert reader.user_indices(pseudonyms(5)).tolist() == [0]
