"""Atomicity, isolation, exclusivity and the end of a store."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from pyroaring import BitMap

from dpdau.errors import StoreError
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import Reader, SeriesState, Store
from support.stores import DAY, erasure, ledger_row, pseudonyms, tombstones, tombstones_as_rows


class _Undo(Exception):  # noqa: N818 - no error, a way out of a transaction
    pass


def change_everything(store: Store) -> None:
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(10))
        transaction.update_members(DAY, BitMap([0]), BitMap())
        transaction.put_tombstones(tombstones((20, DAY, DAY, -1)))
        transaction.append_ledger(ledger_row(1))
        transaction.put_series_state(SeriesKey(Metric.DAU, 1, "2025-10"), SeriesState((1,), b"a"))
        transaction.put_erasure(erasure("first"))
        transaction.put_meta("name", "first")


def everything(reader: Reader) -> list[Any]:
    wanted = pseudonyms(10, 20, 30)
    return [
        reader.user_indices(wanted).tolist(),
        tombstones_as_rows(reader.tombstones(wanted)),
        reader.known_users(),
        reader.pseudonyms_of(np.arange(3)).tolist(),
        reader.members(0, DAY + 9),
        reader.ledger(),
        [(key, reader.series_state(key)) for key in reader.series_keys()],
        reader.unfinished_erasures(),
        reader.meta("name"),
    ]


def change_everything_again_and_undo(store: Store) -> None:
    with store.write() as transaction:
        transaction.allot_indices(pseudonyms(30))
        transaction.forget_users(pseudonyms(10))
        transaction.update_members(DAY, BitMap([1]), BitMap([0]))
        transaction.update_members(DAY + 1, BitMap([1]), BitMap())
        transaction.put_tombstones(tombstones((20, DAY + 1, DAY, 1), (10, DAY, DAY, 0)))
        transaction.rename(pseudonyms(20, 30), pseudonyms(21, 31))
        transaction.erase_members(BitMap([1]))
        transaction.append_ledger(ledger_row(2))
        transaction.drop_series_state(SeriesKey(Metric.DAU, 1, "2025-10"))
        transaction.put_series_state(SeriesKey(Metric.MAU, 7, "2025-10"), SeriesState((), None))
        transaction.put_erasure(erasure("first", completed=True))
        transaction.put_meta("name", "second")
        transaction.drop_before(DAY + 1)
        raise _Undo


def test_an_error_inside_a_transaction_undoes_all_of_it(store: Store) -> None:
    change_everything(store)
    with store.read() as reader:
        before = everything(reader)
    with pytest.raises(_Undo):
        change_everything_again_and_undo(store)
    with store.read() as reader:
        assert everything(reader) == before
    with store.write() as transaction:
        # Whether what was undone is given out once more is the store's own business.
        assert transaction.allot_indices(pseudonyms(40)).tolist() in ([1], [2])


def test_a_transaction_sees_its_own_changes(store: Store) -> None:
    with store.write() as transaction:
        indices = transaction.allot_indices(pseudonyms(10, 20))
        assert transaction.user_indices(pseudonyms(20, 10)).tolist() == [1, 0]
        transaction.update_members(DAY, BitMap(indices), BitMap())
        assert transaction.members(DAY, DAY) == BitMap([0, 1])
        assert transaction.erase_members(BitMap([1])) == 1
        assert transaction.members(DAY, DAY) == BitMap([0])
        transaction.put_meta("name", "value")
        assert transaction.meta("name") == "value"
        transaction.append_ledger(ledger_row(1))
        assert transaction.ledger_head() == ledger_row(1)


def test_a_reader_does_not_see_what_is_committed_after_it_began(store: Store) -> None:
    with store.read() as earlier:
        change_everything(store)
        with store.read() as later:
            assert later.meta("name") == "first"
            assert earlier.meta("name") is None
            assert earlier.members(0, DAY) == BitMap()
            assert earlier.ledger() == []
            assert earlier.user_indices(pseudonyms(10)).tolist() == [-1]


def test_a_reader_neither_waits_for_a_writer_nor_sees_its_unfinished_changes(
    store: Store,
) -> None:
    with store.write() as transaction:
        transaction.put_meta("name", "unfinished")
        with store.read() as reader:
            assert reader.meta("name") is None
    with store.read() as reader:
        assert reader.meta("name") == "unfinished"


def test_writers_of_many_threads_take_turns(store: Store) -> None:
    threads, rounds = 8, 25
    start = threading.Barrier(threads)

    def count_up() -> None:
        start.wait()
        for _ in range(rounds):
            with store.write() as transaction:
                value = int(transaction.meta("count") or 0)
                transaction.put_meta("count", str(value + 1))
            with store.read() as reader:
                assert int(reader.meta("count") or 0) > value

    with ThreadPoolExecutor(threads) as pool:
        for finished in [pool.submit(count_up) for _ in range(threads)]:
            finished.result()
    with store.read() as reader:
        assert reader.meta("count") == str(threads * rounds)


def test_a_transaction_inside_a_transaction_is_an_error_and_not_a_deadlock(store: Store) -> None:
    with store.write() as outer:
        outer.put_meta("name", "outer")
        with pytest.raises(RuntimeError, match="must end before"), store.write():
            pytest.fail("the inner transaction began")
    with store.write() as transaction:
        assert transaction.meta("name") == "outer"


def test_purging_and_checking_leave_the_content_as_it_is(store: Store) -> None:
    change_everything(store)
    with store.read() as reader:
        before = everything(reader)
    store.purge()
    store.check()
    with store.read() as reader:
        assert everything(reader) == before


USES: dict[str, Callable[[Store], object]] = {
    "read": lambda store: store.read().__enter__(),
    "write": lambda store: store.write().__enter__(),
    "purge": lambda store: store.purge(),
    "check": lambda store: store.check(),
}


@pytest.mark.parametrize("use", USES)
def test_a_closed_store_refuses_every_use(store: Store, use: str) -> None:
    store.close()
    with pytest.raises(StoreError, match="closed"):
        USES[use](store)


def test_a_store_may_be_closed_twice_and_under_a_reader(store: Store) -> None:
    with store.read() as reader:
        store.close()
        assert reader.meta("name") is None
    store.close()


def test_a_warmed_store_answers_as_before(store: Store) -> None:
    change_everything(store)
    with store.read() as reader:
        before = everything(reader)
    store.warm()
    with store.read() as reader:
        assert everything(reader) == before
