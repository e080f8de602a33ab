"""What is deleted and purged is in no file any more."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pyroaring import BitMap

from dpdau.errors import StoreBusyError
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import SeriesState, Tombstone
from dpdau.store import SqliteStore
from support.stores import DAY

USERS = 20_000
BATCH = 1_000


def pseudonyms_of(users: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Numbers that lie as wildly as hashes do: consecutive ones times an odd constant."""
    with np.errstate(over="ignore"):
        return (users.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)


def all_bytes(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.iterdir()))


def encoded(pseudonym: int) -> bytes:
    return pseudonym.to_bytes(8, "big")


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


def test_no_byte_of_an_erased_person_is_left_after_a_purge(path: Path) -> None:
    store = SqliteStore(path, busy_timeout_seconds=0)
    fill(store)
    leaving = np.arange(3, USERS, 7)
    left = pseudonyms_of(leaving)
    with store.write() as transaction:
        before = [transaction.members(DAY + day, DAY + day) for day in range(5)]
    patterns = [
        pattern
        for members in before
        for index in BitMap(leaving) & members
        for pattern in neighbourhoods(members, index)
    ]
    held = all_bytes(path)
    assert all(encoded(p) in held for p in left.tolist())
    assert sum(pattern in held for pattern in patterns) > len(patterns) * 0.9

    with store.write() as transaction:
        for day in range(5):
            transaction.update_members(DAY + day, BitMap(), BitMap(leaving))
        transaction.forget_users(left)
        transaction.put_tombstones([Tombstone(int(left[0]), DAY, DAY, 3)])
    store.purge()

    held = all_bytes(path)
    assert held.count(encoded(int(left[0]))) == 1
    assert [p for p in left[1:].tolist() if encoded(p) in held] == []
    assert [pattern for pattern in patterns if pattern in held] == []
    stayed = pseudonyms_of(np.array([1, 2, USERS - 1]))
    assert all(encoded(p) in held for p in stayed.tolist())
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


def test_a_purge_gives_back_the_room_of_what_was_deleted(path: Path) -> None:
    store = SqliteStore(path)
    fill(store)
    store.purge()
    full = path.stat().st_size
    with store.write() as transaction:
        transaction.forget_users(pseudonyms_of(np.arange(USERS)))
        transaction.drop_before(DAY + 5)
    store.purge()
    assert path.stat().st_size < full / 2
    assert path.with_name("dpdau.sqlite3-wal").stat().st_size == 0
    store.close()
