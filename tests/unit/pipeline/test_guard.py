"""When the second copy of the ledger's head is moved, and what is checked before a row is added."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from dpdau.errors import HeadNotKeptError, LedgerDamagedError, StoreError
from dpdau.model.ledger import LedgerKind, LedgerRow
from dpdau.pipeline.guard import LedgerGuard
from dpdau.pipeline.head import remembered_in
from dpdau.privacy.charges import PureCharge
from dpdau.store import MemoryHead, MemoryStore
from support.stores import ledger_row


class CountedHead(MemoryHead):
    """Counts how often it is written, and fails while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.fails = False

    def replace(self, change: Callable[[bytes | None], bytes | None]) -> None:
        def counted(content: bytes | None) -> bytes | None:
            changed = change(content)
            if self.fails and changed is not None:
                raise StoreError("the disk of the copy is gone")
            self.writes += changed is not None
            return changed

        super().replace(counted)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def head() -> CountedHead:
    return CountedHead()


def append(store: MemoryStore) -> None:
    """What another process does, whose guard this one is not."""
    with store.write() as transaction:
        transaction.append_ledger(next_row(transaction.ledger_head()))


def next_row(newest: LedgerRow | None, **fields: Any) -> LedgerRow:
    row = ledger_row(1 if newest is None else newest.sequence + 1, **fields)
    row = msgspec.structs.replace(
        row,
        charge=PureCharge(0.1).to_dict(),
        previous_hash=row.previous_hash if newest is None else newest.hash,
    )
    return msgspec.structs.replace(row, hash=row.computed_hash())


def covered(head: CountedHead) -> int:
    remembered = remembered_in(head.read())
    return 0 if remembered is None else remembered.sequence


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_value_leaves_only_once_the_copy_has_its_row(
    store: MemoryStore, head: CountedHead, rows: int
) -> None:
    for _ in range(rows):
        append(store)
    guard = LedgerGuard(store, head)
    guard.cover()
    assert covered(head) == rows
    append(store)
    guard.cover()
    assert covered(head) == rows + 1


def test_what_the_copy_has_is_not_written_again(store: MemoryStore, head: CountedHead) -> None:
    guard = LedgerGuard(store, head)
    append(store)
    guard.cover()
    guard.cover()
    guard.keep()
    assert head.writes == 1


def test_what_could_not_be_written_covers_no_value(store: MemoryStore, head: CountedHead) -> None:
    guard = LedgerGuard(store, head)
    append(store)
    head.fails = True
    for _ in range(2):
        with pytest.raises(HeadNotKeptError):
            guard.cover()
    head.fails = False
    guard.cover()
    assert covered(head) == 1


def test_a_row_is_in_the_copy_when_its_transaction_has_ended(
    store: MemoryStore, head: CountedHead
) -> None:
    guard = LedgerGuard(store, head)
    for sequence in (1, 2):
        with guard.write() as transaction:
            transaction.append_ledger(next_row(transaction.ledger_head()))
        assert covered(head) == sequence


def test_once_a_loss_is_acknowledged_the_copy_follows_the_ledger_that_is_there(
    head: CountedHead,
) -> None:
    lost, store = MemoryStore(), MemoryStore()
    for _ in range(3):
        append(lost)
    LedgerGuard(lost, head).cover()
    append(store)
    remembered = remembered_in(head.read())
    assert remembered is not None
    loss = {
        "remembered": {"sequence": remembered.sequence, "hash": remembered.hash},
        "ended_series": [],
        "closed_through": None,
    }
    with store.write() as transaction:
        row = next_row(transaction.ledger_head(), kind=LedgerKind.ACKNOWLEDGEMENT, body=loss)
        transaction.append_ledger(row)
    guard = LedgerGuard(store, head)
    guard.check()
    guard.keep()
    for sequence in (2, 3, 4, 5):
        assert covered(head) == sequence
        append(store)
        guard.cover()


def test_nothing_is_appended_behind_a_row_that_was_changed(
    store: MemoryStore, head: CountedHead
) -> None:
    guard = LedgerGuard(store, head)
    append(store)
    guard.check()
    (row,) = store._state.ledger  # noqa: SLF001 - what an editor of the file does
    store._state.ledger[0] = msgspec.structs.replace(row, body={"estimate": 43})  # noqa: SLF001
    with pytest.raises(LedgerDamagedError, match="row 1"), guard.write():
        pytest.fail("the transaction must not begin")
    assert guard.stopped_by() is not None


def test_a_changed_row_further_back_is_found_by_a_process_that_starts(
    store: MemoryStore, head: CountedHead
) -> None:
    for _ in range(3):
        append(store)
    LedgerGuard(store, head).check()
    row = store._state.ledger[1]  # noqa: SLF001 - what an editor of the file does
    store._state.ledger[1] = msgspec.structs.replace(row, body={"estimate": 43})  # noqa: SLF001
    with pytest.raises(LedgerDamagedError, match="row 2"):
        LedgerGuard(store, head).check()
