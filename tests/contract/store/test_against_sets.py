"""Random transactions against plain Python sets."""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pyroaring import BitMap

from dpdau.pipeline.ports import Store, Tombstone
from support.stores import DAY, MAX_UINT64, OPENERS, pseudonyms


class _Undo(Exception):  # noqa: N818 - no error, a way out of a transaction
    pass


small_pseudonyms = st.sampled_from([0, 1, 7, 2**63 - 1, 2**63, MAX_UINT64])
some_pseudonyms = st.lists(small_pseudonyms, unique=True)
days = st.integers(min_value=DAY, max_value=DAY + 3)
spread_indices = st.sets(st.sampled_from([0, 1, 5, 65_535, 65_536, 131_072, 2**32 - 1]))


class StoreMachine(RuleBasedStateMachine):
    """Random transactions, some undone, on a store and on plain Python sets."""

    opener: Callable[[Path], Store]
    is_durable: bool

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.store = type(self).opener(Path(self.directory.name))
        self.users: dict[int, int] = {}
        self.owners: dict[int, int] = {}
        self.days: dict[int, set[int]] = {}
        self.tombstones: dict[int, Tombstone] = {}

    @initialize()
    def begin_with_someone(self) -> None:
        self.allot([7])

    @rule(wanted=some_pseudonyms)
    def allot(self, wanted: list[int]) -> None:
        with self.store.write() as transaction:
            indices = transaction.allot_indices(pseudonyms(*wanted)).tolist()
        for pseudonym, index in zip(wanted, indices, strict=True):
            tombstone = self.tombstones.get(pseudonym)
            expected = self.users.get(pseudonym, tombstone.user_index if tombstone else None)
            assert expected in (None, index)
            assert self.owners.setdefault(index, pseudonym) == pseudonym
            self.users[pseudonym] = index

    @rule(wanted=some_pseudonyms, day=days)
    def forget(self, wanted: list[int], day: int) -> None:
        known = pseudonyms(*wanted)
        with self.store.write() as transaction:
            indices = transaction.user_indices(known).tolist()
            transaction.forget_users(known)
            left = [
                Tombstone(pseudonym, day, day, index if index >= 0 else None)
                for pseudonym, index in zip(wanted, indices, strict=True)
            ]
            transaction.put_tombstones(left)
        assert indices == [self.users.pop(pseudonym, -1) for pseudonym in wanted]
        self.tombstones.update({tombstone.pseudonym: tombstone for tombstone in left})

    @rule(day=days, joins=spread_indices, leaves=spread_indices)
    def update(self, day: int, joins: set[int], leaves: set[int]) -> None:
        with self.store.write() as transaction:
            transaction.update_members(day, BitMap(joins - leaves), BitMap(leaves - joins))
        self.days[day] = (self.days.get(day, set()) - (leaves - joins)) | (joins - leaves)

    @rule(day=days, joins=spread_indices, wanted=some_pseudonyms)
    def undo(self, day: int, joins: set[int], wanted: list[int]) -> None:
        with suppress(_Undo), self.store.write() as transaction:
            transaction.drop_before(day)
            transaction.allot_indices(pseudonyms(*wanted))
            transaction.update_members(day, BitMap(joins), BitMap())
            raise _Undo

    @rule(day=days)
    def drop(self, day: int) -> None:
        with self.store.write() as transaction:
            transaction.drop_before(day)
        self.days = {kept: users for kept, users in self.days.items() if kept >= day}
        self.tombstones = {
            pseudonym: tombstone
            for pseudonym, tombstone in self.tombstones.items()
            if tombstone.recorded_on >= day
        }

    @precondition(lambda self: self.is_durable)
    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = type(self).opener(Path(self.directory.name))

    @rule()
    def purge(self) -> None:
        self.store.purge()

    @rule(first=days, last=days, users=spread_indices)
    def ask(self, first: int, last: int, users: set[int]) -> None:
        with self.store.read() as reader:
            members = reader.members(first, last)
            active = reader.days_of(BitMap(users))
        asked = (kept for day, kept in self.days.items() if first <= day <= last)
        assert set(members) == set().union(*asked)
        assert active == sorted(day for day, kept in self.days.items() if kept & users)

    @invariant()
    def users_and_tombstones_agree(self) -> None:
        everyone = [0, 1, 7, 2**63 - 1, 2**63, MAX_UINT64]
        with self.store.read() as reader:
            indices = reader.user_indices(pseudonyms(*everyone)).tolist()
            tombstones = reader.tombstones(pseudonyms(*everyone))
        assert indices == [self.users.get(pseudonym, -1) for pseudonym in everyone]
        assert tombstones == self.tombstones

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()


@pytest.mark.parametrize("name", OPENERS)
def test_any_sequence_of_transactions_leaves_what_plain_sets_hold(name: str) -> None:
    class Machine(StoreMachine):
        opener = staticmethod(OPENERS[name])
        is_durable = name != "memory"

    few = settings(max_examples=40, stateful_step_count=20, deadline=None)
    run_state_machine_as_test(Machine, settings=few)
