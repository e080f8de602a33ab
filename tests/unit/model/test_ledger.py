import hashlib
from datetime import UTC, datetime

import msgspec
import pytest

from dpdau.errors import LedgerDamagedError
from dpdau.model.ledger import GENESIS_HASH, LedgerKind, LedgerRow, chained, verify_chain
from dpdau.model.releases import Metric


def ledger(length: int) -> list[LedgerRow]:
    rows: list[LedgerRow] = []
    for sequence in range(1, length + 1):
        row = LedgerRow(
            sequence=sequence,
            kind=LedgerKind.RELEASE,
            metric=Metric.DAU,
            period="2025-10",
            subject=f"dau-1d-2025-10-{sequence:02}",
            recorded_at=datetime(2025, 10, sequence, tzinfo=UTC),
            charge={"kind": "laplace", "scale": 1 / 0.3},
            body={"estimate": 7, "z": 0.1, "a": None},
            previous_hash=rows[-1].hash if rows else GENESIS_HASH,
        )
        rows.append(chained(row))
    return rows


def test_a_whole_chain_verifies() -> None:
    verify_chain(ledger(5))
    verify_chain([])


@pytest.mark.parametrize(
    "change",
    [
        {"body": {"estimate": 8}},
        {"charge": None},
        {"metric": Metric.MAU},
        {"kind": LedgerKind.SERIES},
        {"subject": "dau-1d-2025-10-09"},
        {"period": "2025-11"},
        {"recorded_at": datetime(2026, 1, 1, tzinfo=UTC)},
    ],
)
def test_a_changed_row_is_named(change: dict[str, object]) -> None:
    rows = ledger(5)
    rows[2] = msgspec.structs.replace(rows[2], **change)
    with pytest.raises(LedgerDamagedError, match="row 3: its content does not match its hash"):
        verify_chain(rows)


def test_a_changed_row_with_a_fresh_hash_breaks_the_next() -> None:
    rows = ledger(5)
    rows[2] = chained(msgspec.structs.replace(rows[2], body={}))
    with pytest.raises(LedgerDamagedError, match="row 4: it does not continue the row before it"):
        verify_chain(rows)


@pytest.mark.parametrize("removed", [0, 1, 3])
def test_a_removed_row_is_missed(removed: int) -> None:
    rows = ledger(5)
    del rows[removed]
    with pytest.raises(LedgerDamagedError, match=f"row {removed + 1} is missing"):
        verify_chain(rows)


def test_rows_in_another_order_are_noticed() -> None:
    rows = ledger(3)
    with pytest.raises(LedgerDamagedError):
        verify_chain([rows[1], rows[0], rows[2]])


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    (row,) = ledger(1)
    shuffled = msgspec.structs.replace(row, body=dict(reversed(row.body.items())))
    assert shuffled.computed_hash() == row.hash


def test_a_row_read_back_from_json_has_the_same_hash() -> None:
    for row in ledger(3):
        again = msgspec.json.decode(msgspec.json.encode(row), type=LedgerRow)
        assert again == row
        assert again.computed_hash() == row.hash


def test_a_row_is_hashed_as_canonical_json_behind_the_hash_before_it() -> None:
    row = ledger(1)[0]
    content = (
        '{"body":{"a":null,"estimate":7,"z":0.1},"charge":{"kind":"laplace","scale":'
        f'{1 / 0.3!r}}},"kind":"release","metric":"dau","period":"2025-10",'
        '"recorded_at":"2025-10-01T00:00:00Z","sequence":1,"subject":"dau-1d-2025-10-01"}'
    )
    assert row.canonical_content().decode() == content
    assert row.hash == hashlib.sha256(("0" * 64 + content).encode()).hexdigest()


def test_kinds_are_stored_under_names_that_never_change() -> None:
    assert [str(kind) for kind in LedgerKind] == [
        *("release", "series", "cap", "acknowledgement", "recharge")
    ]
