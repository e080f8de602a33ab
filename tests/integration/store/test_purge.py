"""What is deleted and purged is in no file any more."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.errors import StoreBusyError
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import SeriesState
from dpdau.store import SqliteStore
from support.stores import DAY, tombstones

USERS = 20_000
BATCH = 1_000


def pseudonyms_of(users: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Hashes of numbers, which share no run of bytes."""
    return np.array([blake2b_64(user) for user in users.tolist()], dtype=np.uint64)


def blake2b_64(number: int) -> int:
    digest = hashlib.blake2b(number.to_bytes(8, "little"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


PAGE_BYTES = 4_096
POINTER_BYTES = 4


def all_bytes(path: Path) -> bytes:
    """The files as they are, and once more with what runs on from page to page joined."""
    held = b"".join(file.read_bytes() for file in sorted(path.parent.iterdir()))
    pages = range(0, len(held), PAGE_BYTES)
    return held + b"".join(held[page + POINTER_BYTES : page + PAGE_BYTES] for page in pages)


def encoded(pseudonym: int) -> bytes:
    return pseudonym.to_bytes(8, "little")


def neighbourhoods(members: BitMap, index: int) -> list[bytes]:
    """How an index stands between its neighbours in a serialised bitmap."""
    indices = list(members)
    at = indices.index(index)
    return [
        np.array(indices[start : start + 4], dtype="<u2").tobytes()
        for start in range(max(at - 3, 0), min(at + 1, len(indices) - 3))
    ]


def fill(store: SqliteStore) -> None:
    for start in range(0, USERS, BATCH):
        users = np.arange(start, start + BATCH)
        with store.write() as transaction:
            indices = transaction.allot_indices(pseudonyms_of(users))
            for day in range(5):
                joins = BitMap(indices[day :: 37 + day])
                transaction.update_members(DAY + day, joins, BitMap())


def pairs(day: int, members: BitMap) -> list[bytes]:
    """How users of a day stand in a delta."""
    return [encoded(day << 33 | index << 1 | 1) for index in members]


@pytest.mark.parametrize("merging", [True, False])
def test_no_byte_of_an_erased_person_is_left_after_a_purge(
    path: Path, request: pytest.FixtureRequest, *, merging: bool
) -> None:
    if merging:
        request.getfixturevalue("merging_at_once")
    store = SqliteStore(path, busy_timeout_seconds=0)
    fill(store)
    leaving = np.arange(3, USERS, 7)
    left = pseudonyms_of(leaving)
    with store.write() as transaction:
        before = {DAY + day: transaction.members(DAY + day, DAY + day) for day in range(5)}
    if merging:
        patterns = [
            pattern
            for members in before.values()
            for index in BitMap(leaving) & members
            for pattern in neighbourhoods(members, index)
        ]
    else:
        here = BitMap(leaving)
        patterns = [each for day, members in before.items() for each in pairs(day, members & here)]
    held = all_bytes(path)
    # A few are cut in two where a row continues on other pages.
    assert sum(encoded(p) in held for p in left.tolist()) > len(left) * 0.99
    assert sum(pattern in held for pattern in patterns) > len(patterns) * 0.9

    with store.write() as transaction:
        transaction.erase_members(BitMap(leaving))
        transaction.forget_users(left)
        transaction.put_tombstones(tombstones((int(left[0]), DAY, DAY, 3)))
    store.purge()

    held = all_bytes(path)
    assert all_bytes(path).count(encoded(int(left[0]))) == 2, "raw, and with pages joined"
    assert [p for p in left[1:].tolist() if encoded(p) in held] == []
    assert [pattern for pattern in patterns if pattern in held] == []
    stayed = pseudonyms_of(np.array([1, 2, USERS - 1]))
    assert all(encoded(p) in held for p in stayed.tolist())
    store.close()


def test_nothing_is_left_of_what_was_merged(path: Path) -> None:
    store = SqliteStore(path, busy_timeout_seconds=0)
    few = BitMap([7, 70_000, 140_007])
    for users in (few, BitMap(range(0, 200_000, 3))):
        with store.write() as transaction:
            transaction.update_members(DAY, users, BitMap())
        store.purge()
        held = all_bytes(path)
        assert all(pair in held for pair in pairs(DAY, few)) == (users == few)
    store.close()


def test_the_state_of_a_series_is_gone_after_a_purge(path: Path) -> None:
    key = SeriesKey(Metric.MAU, 30, "2025-10")
    store = SqliteStore(path)
    with store.write() as transaction:
        transaction.put_series_state(key, SeriesState((123_454_321,), b"who rose when" * 500))
    assert b"who rose when" in all_bytes(path)
    with store.write() as transaction:
        transaction.drop_series_state(key)
    store.purge()
    held = all_bytes(path)
    assert b"who rose when" not in held
    assert b"123454321" not in held
    store.close()


def test_a_reader_of_a_former_state_makes_the_purge_fail_and_not_forget(path: Path) -> None:
    store = SqliteStore(path, busy_timeout_seconds=0.05)
    fill(store)
    gone = pseudonyms_of(np.array([5]))
    with store.read() as reader:
        with store.write() as transaction:
            transaction.forget_users(gone)
        size = path.with_name("dpdau.sqlite3-wal").stat().st_size
        for _ in range(3):
            with pytest.raises(StoreBusyError):
                store.purge()
        assert path.with_name("dpdau.sqlite3-wal").stat().st_size == size
        assert reader.user_indices(gone).tolist() == [5]
    store.purge()
    assert encoded(int(gone[0])) not in all_bytes(path)
    store.close()


def test_tombstones_that_expired_and_pseudonyms_that_were_replaced_are_gone(path: Path) -> None:
    store = SqliteStore(path)
    fill(store)
    some = np.unique(pseudonyms_of(np.arange(USERS, USERS + 3_000)))
    with store.write() as transaction:
        transaction.put_tombstones(
            tombstones(*((p, DAY, DAY + at % 2, -1) for at, p in enumerate(some.tolist())))
        )
        former = pseudonyms_of(np.arange(0, USERS, 5))
        transaction.rename(former, former ^ np.uint64(2**60 - 1))
    store.purge()
    held = all_bytes(path)
    assert sum(encoded(p) in held for p in some.tolist()) > len(some) * 0.99
    assert [p for p in former.tolist() if encoded(p) in held] == []
    with store.write() as transaction:
        transaction.drop_before(DAY + 1)
    store.purge()
    held = all_bytes(path)
    assert [p for p in some[::2].tolist() if encoded(p) in held] == []
    assert sum(encoded(p) in held for p in some[1::2].tolist()) > len(some[1::2]) * 0.99
    store.close()


@pytest.mark.usefixtures("merging_at_once")
def test_no_byte_is_left_however_often_bitmaps_grew_and_moved_before(path: Path) -> None:
    """Rows of many sizes come and go, so that a store which moved them would leave copies."""
    store = SqliteStore(path, busy_timeout_seconds=0)
    secret = BitMap([40_000, 40_007, 40_009, 40_013])
    pattern = np.array(list(secret), dtype="<u2").tobytes()
    for step in range(150):
        day = DAY + step * 5 % 12
        joins = BitMap(blake2b_64(step << 16 | at) % 40_000 for at in range(step * 37 % 400 + 1))
        with store.write() as transaction:
            transaction.update_members(day, joins | secret, BitMap())
            if step % 17 == 16:
                transaction.drop_before(DAY + step // 50)
    store.purge()
    assert pattern in all_bytes(path)
    with store.write() as transaction:
        transaction.erase_members(secret)
    store.purge()
    assert pattern not in all_bytes(path)
    store.close()


def test_the_room_of_what_was_deleted_is_used_again(path: Path) -> None:
    store = SqliteStore(path)
    for month in range(4):
        for day in range(month * 30, month * 30 + 30):
            with store.write() as transaction:
                transaction.update_members(DAY + day, BitMap(range(day, 60_000, 7)), BitMap())
                transaction.drop_before(DAY + day - 30)
        if month == 1:
            store.purge()
            full = path.stat().st_size
    store.purge()
    assert path.stat().st_size == full
    assert path.with_name("dpdau.sqlite3-wal").stat().st_size == 0
    store.close()
