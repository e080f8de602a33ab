"""The ledger."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpdau.model.ledger import GENESIS_HASH, LedgerKind, LedgerRow, chained, verify_chain
from dpdau.model.releases import Metric
from dpdau.pipeline.ports import Store
from support.stores import NOW, OPENERS, ledger_row

any_text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**200), max_value=2**200)
    | st.floats(allow_nan=False, allow_infinity=False)
    | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)


@given(
    body=st.dictionaries(any_text, json_values, max_size=4),
    charge=st.none() | st.dictionaries(any_text, json_values, max_size=4),
    recorded_at=st.datetimes(timezones=st.just(UTC)),
    subject=any_text.filter(bool),
)
@settings(max_examples=50, deadline=None)
@pytest.mark.parametrize("opener", OPENERS)
def test_a_ledger_row_comes_back_equal_and_with_the_same_hash(
    opener: str,
    body: dict[str, Any],
    charge: dict[str, Any] | None,
    recorded_at: datetime,
    subject: str,
) -> None:
    blank = ledger_row(1, subject=subject)
    changed = msgspec.structs.replace(blank, body=body, charge=charge, recorded_at=recorded_at)
    row = chained(changed)
    with tempfile.TemporaryDirectory() as directory:
        store = OPENERS[opener](Path(directory))
        with store.write() as transaction:
            transaction.append_ledger(row)
        with store.read() as reader:
            kept = reader.ledger_head()
        store.close()
    assert kept == row
    assert kept.computed_hash() == row.hash


def test_a_body_comes_back_as_json_whatever_types_it_had(store: Store) -> None:
    row = ledger_row(1, body={"at": NOW, "metric": Metric.MAU, "rows": (1, 2)})
    with store.write() as transaction:
        transaction.append_ledger(row)
        kept = transaction.ledger_head()
    assert kept is not None
    assert kept.body == {"at": "2025-10-07T12:30:15.123456Z", "metric": "mau", "rows": [1, 2]}
    assert type(kept.body["metric"]) is str
    assert kept.computed_hash() == row.hash


def test_the_ledger_lists_rows_oldest_first_and_by_metric_period_and_kind(store: Store) -> None:
    shapes = [
        (LedgerKind.SERIES, Metric.DAU, "2025-09"),
        (LedgerKind.RELEASE, Metric.DAU, "2025-09"),
        (LedgerKind.RELEASE, Metric.MAU, "2025-09"),
        (LedgerKind.RELEASE, Metric.DAU, "2025-10"),
    ]
    rows: list[LedgerRow] = []
    with store.write() as transaction:
        for sequence, (kind, metric, period) in enumerate(shapes, start=1):
            previous = rows[-1].hash if rows else GENESIS_HASH
            row = ledger_row(
                sequence, previous_hash=previous, kind=kind, metric=metric, period=period
            )
            transaction.append_ledger(row)
            rows.append(row)
    with store.read() as reader:
        assert reader.ledger() == rows
        verify_chain(reader.ledger())
        assert reader.ledger_head() == rows[3]
        assert reader.ledger(metric=Metric.DAU) == [rows[0], rows[1], rows[3]]
        assert reader.ledger(period="2025-09") == rows[:3]
        assert reader.ledger(kind=LedgerKind.RELEASE) == rows[1:]
        assert reader.ledger(metric=Metric.DAU, period="2025-09") == rows[:2]
        dau_releases = reader.ledger(metric=Metric.DAU, period="2025-09", kind=LedgerKind.RELEASE)
        assert dau_releases == [rows[1]]
        assert reader.ledger(metric=Metric.MAU, kind=LedgerKind.SERIES) == []


def test_a_row_is_found_by_kind_and_subject(store: Store) -> None:
    series = ledger_row(1, kind=LedgerKind.SERIES, subject="mau-30d")
    release = ledger_row(2, kind=LedgerKind.RELEASE, subject="mau-30d")
    with store.write() as transaction:
        transaction.append_ledger(series)
        transaction.append_ledger(release)
    with store.read() as reader:
        assert reader.ledger_row(LedgerKind.SERIES, "mau-30d") == series
        assert reader.ledger_row(LedgerKind.RELEASE, "mau-30d") == release
        assert reader.ledger_row(LedgerKind.RELEASE, "dau-1d") is None


def test_a_row_that_costs_nothing_has_no_charge(store: Store) -> None:
    row = chained(msgspec.structs.replace(ledger_row(1), charge=None))
    with store.write() as transaction:
        transaction.append_ledger(row)
        assert transaction.ledger_head() == row


@pytest.mark.parametrize("sequence", [0, 1, 3, -1])
def test_a_row_that_does_not_continue_the_ledger_is_refused(store: Store, sequence: int) -> None:
    with store.write() as transaction:
        transaction.append_ledger(ledger_row(1))
        with pytest.raises(ValueError, match=f"Expected ledger row 2, got {sequence}"):
            transaction.append_ledger(ledger_row(sequence, subject="other"))
    with store.read() as reader:
        assert reader.ledger() == [ledger_row(1)]


def test_the_first_row_must_be_number_one(store: Store) -> None:
    with store.write() as transaction, pytest.raises(ValueError, match="row 1, got 2"):
        transaction.append_ledger(ledger_row(2))


def test_a_subject_is_recorded_once_for_its_kind(store: Store) -> None:
    with store.write() as transaction:
        transaction.append_ledger(ledger_row(1, subject="dau-1d"))
        with pytest.raises(ValueError, match="already records the release dau-1d"):
            transaction.append_ledger(ledger_row(2, subject="dau-1d"))
        transaction.append_ledger(ledger_row(2, kind=LedgerKind.SERIES, subject="dau-1d"))
