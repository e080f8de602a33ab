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

from dpdau.pipeline.ports import Store
from support.pairs import as_pairs
from support.stores import DAY, MAX_UINT64, OPENERS, pseudonyms, tombstones, tombstones_as_rows


class _Undo(Exception):  # noqa: N818 - no error, a way out of a transaction
    pass


everyone = [3, 1, 7, 2**63 - 1, 2**63, MAX_UINT64]
small_pseudonyms = st.sampled_from(everyone)
some_pseudonyms = st.lists(small_pseudonyms, unique=True)
days = st.integers(min_value=DAY, max_value=DAY + 3)
one_spread_index = st.sampled_from([0, 1, 5, 65_535, 65_536, 131_072, 2**32 - 1])
spread_indices = st.sets(one_spread_index)


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
        self.tombstones: dict[int, tuple[int, int, int, int]] = {}

    @initialize()
    def begin_with_someone(self) -> None:
        self.allot([7])

    @rule(wanted=some_pseudonyms)
    def allot(self, wanted: list[int]) -> None:
        with self.store.write() as transaction:
            indices = transaction.allot_indices(pseudonyms(*wanted)).tolist()
        for pseudonym, index in zip(wanted, indices, strict=True):
            tombstone = self.tombstones.get(pseudonym)
            expected = self.users.get(pseudonym, tombstone[3] if tombstone else -1)
            assert expected in (-1, index)
            assert self.owners.setdefault(index, pseudonym) == pseudonym
            self.users[pseudonym] = index

    @rule(wanted=some_pseudonyms, day=days)
    def forget(self, wanted: list[int], day: int) -> None:
        known = pseudonyms(*wanted)
        with self.store.write() as transaction:
            indices = transaction.user_indices(known).tolist()
            transaction.forget_users(known)
            left = [(p, day, day, index) for p, index in zip(wanted, indices, strict=True)]
            transaction.put_tombstones(tombstones(*left))
        assert indices == [self.users.pop(pseudonym, -1) for pseudonym in wanted]
        self.tombstones.update({row[0]: row for row in left})

    @rule(renamed=some_pseudonyms)
    def rename(self, renamed: list[int]) -> None:
        held = self.users.keys() | self.tombstones.keys()
        free = [pseudonym for pseudonym in everyone if pseudonym not in held]
        pairs = list(zip((p for p in renamed if p in held), free, strict=False))
        old, new = [former for former, _ in pairs], [present for _, present in pairs]
        with self.store.write() as transaction:
            transaction.rename(pseudonyms(*old), pseudonyms(*new))
        for former, present in pairs:
            if former in self.users:
                self.users[present] = self.users.pop(former)
                self.owners[self.users[present]] = present
            if former in self.tombstones:
                self.tombstones[present] = (present, *self.tombstones.pop(former)[1:])
                self.owners[self.tombstones[present][3]] = present

    @rule(users=spread_indices)
    def erase(self, users: set[int]) -> None:
        with self.store.write() as transaction:
            removed = transaction.erase_members(BitMap(users))
        assert removed == sum(len(members & users) for members in self.days.values())
        self.days = {day: members - users for day, members in self.days.items()}

    @rule(day=days, joins=spread_indices, leaves=spread_indices)
    def update(self, day: int, joins: set[int], leaves: set[int]) -> None:
        with self.store.write() as transaction:
            transaction.update_members(day, BitMap(joins - leaves), BitMap(leaves - joins))
        self.days[day] = (self.days.get(day, set()) - (leaves - joins)) | (joins - leaves)

    @rule(changes=st.dictionaries(st.tuples(days, one_spread_index), st.booleans()))
    def update_pairs(self, changes: dict[tuple[int, int], bool]) -> None:
        with self.store.write() as transaction:
            transaction.update_pairs(as_pairs(changes))
        for (day, user), active in changes.items():
            members = self.days.setdefault(day, set())
            (members.add if active else members.discard)(user)

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
            if tombstone[2] >= day
        }

    @precondition(lambda self: self.is_durable)
    @rule()
    def restart(self) -> None:
        self.store.close()
        self.store = type(self).opener(Path(self.directory.name))

    @rule()
    def purge(self) -> None:
        self.store.purge()

    @rule(first=days, last=days)
    def ask(self, first: int, last: int) -> None:
        with self.store.read() as reader:
            members = reader.members(first, last)
        asked = (kept for day, kept in self.days.items() if first <= day <= last)
        assert set(members) == set().union(*asked)

    @invariant()
    def users_and_tombstones_agree(self) -> None:
        with self.store.read() as reader:
            indices = reader.user_indices(pseudonyms(*everyone)).tolist()
            left = tombstones_as_rows(reader.tombstones(pseudonyms(*everyone)))
            known = reader.known_users()
        assert indices == [self.users.get(pseudonym, -1) for pseudonym in everyone]
        assert left == sorted(self.tombstones.values())
        assert set(known) == set(self.users.values())

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
