"""A copy of a store has all that the store has, and goes on where it was."""

from datetime import date

import numpy as np
import pytest
from pyroaring import BitMap

from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline import copying
from dpdau.pipeline.copying import Copied, copy_store
from dpdau.pipeline.ports import OUTDATED, SeriesState
from dpdau.store import MemoryStore
from support.stores import (
    DAY,
    erasure,
    ledger_row,
    pseudonyms,
    tombstones,
    tombstones_as_rows,
)

DAU = SeriesKey(Metric.DAU, 1, "2025-10")
MAU = SeriesKey(Metric.MAU, 30, "2025-10")
STONES = [(3, DAY, DAY, 2), (7, DAY - 1, DAY, -1), (9, DAY - 2, DAY - 1, 5)]


@pytest.fixture
def store() -> MemoryStore:
    """One with something of everything, whose newest user was erased."""
    made = MemoryStore()
    with made.write() as transaction:
        transaction.adopt_indices(pseudonyms(40, 10, 30, 20), np.array([0, 1, 3, 4]), 6)
        transaction.update_members(DAY, BitMap([0, 1, 4]), BitMap())
        transaction.update_members(DAY + 1, BitMap([3]), BitMap())
        transaction.update_members(OUTDATED, BitMap([0, 3]), BitMap())
        transaction.put_tombstones(tombstones(*STONES))
        first = ledger_row(1)
        transaction.append_ledger(first)
        transaction.append_ledger(ledger_row(2, previous_hash=first.hash))
        transaction.put_series_state(DAU, SeriesState((3, 1), None))
        transaction.put_series_state(MAU, SeriesState((4,), b"a limiter's state"))
        transaction.put_erasure(erasure("one", completed=True))
        transaction.put_erasure(erasure("two", minutes=1))
        transaction.put_meta("created_on", date(2025, 10, 1).isoformat())
        transaction.put_meta("key_check_value", "of a secret")
    return made


def copied(store: MemoryStore) -> MemoryStore:
    other = MemoryStore()
    with store.read() as reader, other.write() as transaction:
        copy_store(reader, transaction)
    return other


@pytest.mark.parametrize("at_once", [1, 2, 3, 1 << 18])
def test_nothing_is_left_behind(
    store: MemoryStore, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_AT_ONCE", at_once)
    with store.read() as one, copied(store).read() as other:
        assert other.known_users() == one.known_users() == BitMap([0, 1, 3, 4])
        known = np.array([0, 1, 3, 4])
        assert other.pseudonyms_of(known).tolist() == [40, 10, 30, 20]
        assert other.index_bound() == one.index_bound() == 6
        for day in (DAY, DAY + 1, OUTDATED):
            assert other.members(day, day) == one.members(day, day)
            assert len(other.members(day, day)) > 0
        assert other.days() == one.days() == [DAY, DAY + 1]
        assert tombstones_as_rows(other.tombstones()) == STONES
        assert other.ledger() == one.ledger()
        assert set(other.series_keys()) == {DAU, MAU}
        for key in (DAU, MAU):
            assert other.series_state(key) == one.series_state(key)
        assert other.erasures() == one.erasures()
        assert other.metas() == one.metas()


def test_the_next_person_gets_an_index_that_nobody_had(store: MemoryStore) -> None:
    with copied(store).write() as transaction:
        assert transaction.allot_indices(pseudonyms(50)).tolist() == [6]


def test_what_a_store_has_is_counted(store: MemoryStore) -> None:
    expected = Copied(users=4, pairs=4, tombstones=3, ledger_rows=2)
    for each in (store, copied(store)):
        with each.read() as reader:
            assert Copied.of(reader) == expected
