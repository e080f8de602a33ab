"""What a process keeps in memory stays true while others write."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pyroaring import BitMap

from dpdau.store import SqliteStore
from dpdau.store.sqlite import snapshot
from support.stores import DAY, pseudonyms, tombstones, tombstones_as_rows


@pytest.fixture
def mine(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path)
    yield opened
    opened.close()


@pytest.fixture
def theirs(path: Path) -> Iterator[SqliteStore]:
    """The same file as another process has it."""
    opened = SqliteStore(path)
    yield opened
    opened.close()


def fill(store: SqliteStore, first: int, last: int) -> None:
    with store.write() as transaction:
        indices = transaction.allot_indices(np.arange(first, last, dtype=np.uint64))
        transaction.update_members(DAY, BitMap(indices), BitMap())


def check(store: SqliteStore, present: range, erased: range) -> None:
    with store.read() as reader:
        found = reader.user_indices(np.array(present, dtype=np.uint64))
        assert (found >= 0).all()
        assert (reader.user_indices(np.array(erased, dtype=np.uint64)) == -1).all()
        assert reader.members(DAY, DAY) == BitMap(found)
        assert reader.known_users() == BitMap(found)
        rows = tombstones_as_rows(reader.tombstones())
        assert [pseudonym for pseudonym, *_ in rows] == list(erased)


@pytest.mark.parametrize("refreshed_pages", [0, 1, 32])
def test_changes_of_another_process_are_seen_at_once(
    mine: SqliteStore,
    theirs: SqliteStore,
    refreshed_pages: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshot, "_MAX_REFRESHED_PAGES", refreshed_pages)
    fill(mine, 1, 6_001)
    mine.warm()
    theirs.warm()
    fill(theirs, 1, 9_001)
    gone = np.arange(1, 101, dtype=np.uint64)
    with theirs.write() as transaction:
        transaction.erase_members(BitMap(transaction.user_indices(gone)))
        transaction.forget_users(gone)
        transaction.put_tombstones(tombstones(*((p, DAY, DAY, -1) for p in range(1, 101))))
    check(mine, range(101, 9_001), range(1, 101))
    check(theirs, range(101, 9_001), range(1, 101))


def test_days_that_another_process_dropped_are_empty(
    mine: SqliteStore, theirs: SqliteStore
) -> None:
    fill(mine, 1, 4)
    for store in (mine, theirs):
        with store.read() as reader:
            assert len(reader.members(DAY, DAY)) == 3
    with theirs.write() as transaction:
        transaction.drop_before(DAY + 1)
    for store in (mine, theirs):
        with store.read() as reader:
            assert reader.members(DAY, DAY) == BitMap()


def test_a_write_builds_on_what_another_process_wrote(
    mine: SqliteStore, theirs: SqliteStore
) -> None:
    for turn in range(6):
        store = (mine, theirs)[turn % 2]
        with store.write() as transaction:
            (index,) = transaction.allot_indices(pseudonyms(100 + turn))
            assert index == turn
            transaction.update_members(DAY, BitMap([index]), BitMap())
            assert transaction.members(DAY, DAY) == BitMap(range(turn + 1))
    with mine.read() as reader:
        assert reader.user_indices(pseudonyms(*range(100, 106))).tolist() == list(range(6))


def test_a_reader_keeps_its_view_while_many_commits_pass(mine: SqliteStore) -> None:
    fill(mine, 1, 11)
    with mine.read() as early:
        for turn in range(20):
            fill(mine, 100 * turn + 20, 100 * turn + 30)
        assert early.members(DAY, DAY) == BitMap(range(10))
        assert early.user_indices(pseudonyms(5, 25)).tolist() == [4, -1]
    with mine.read() as late:
        assert len(late.members(DAY, DAY)) == 210


def test_a_reader_that_learns_after_others_committed_does_not_spoil_their_view(
    mine: SqliteStore,
) -> None:
    fill(mine, 1, 11)
    store = mine
    with store.read() as early:
        fill(store, 11, 21)
        assert early.members(DAY, DAY + 1) == BitMap(range(10))
        with store.read() as late:
            assert late.members(DAY, DAY + 1) == BitMap(range(20))
        assert early.members(DAY - 1, DAY) == BitMap(range(10))
    with store.read() as latest:
        assert latest.members(DAY - 1, DAY + 1) == BitMap(range(20))


def change_and_fail(store: SqliteStore) -> None:
    with store.write() as transaction:
        transaction.update_members(DAY, BitMap([50]), BitMap())
        transaction.update_members(DAY + 1, BitMap([50]), BitMap())
        transaction.members(DAY + 1, DAY + 2)
        transaction.allot_indices(pseudonyms(77))
        raise KeyError


def test_nothing_of_a_transaction_that_fails_is_remembered(mine: SqliteStore) -> None:
    fill(mine, 1, 11)
    with pytest.raises(KeyError):
        change_and_fail(mine)
    with mine.write() as transaction:
        assert transaction.members(DAY, DAY + 2) == BitMap(range(10))
        assert transaction.user_indices(pseudonyms(77)).tolist() == [-1]


def test_a_process_that_only_counts_sees_every_change_of_others(
    mine: SqliteStore, theirs: SqliteStore
) -> None:
    for turn in range(3):
        fill(theirs, 10 * turn + 1, 10 * turn + 11)
        with mine.read() as reader:
            assert reader.members(DAY, DAY) == BitMap(range(10 * turn + 10))


def test_warming_an_empty_store_is_fine(mine: SqliteStore) -> None:
    mine.warm()
    with mine.read() as reader:
        assert reader.members(DAY, DAY) == BitMap()
