"""Columns of a table are judged as a whole to the same events and reasons as row by row."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, TypeAlias

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpdau.formats import Decoded, EventRules
from dpdau.formats.arrow_columns import fields_of
from dpdau.formats.columns import RawColumns, joined, judge
from dpdau.model.texts import FoldedColumn, TextColumn

Row: TypeAlias = dict[str, Any]

TEXT_TYPES = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.dictionary(pa.int32(), pa.large_string()),
    pa.dictionary(pa.uint16(), pa.string()),
    pa.dictionary(pa.int32(), pa.string_view()),
]
DAY_TYPES = [*TEXT_TYPES, pa.date32(), pa.date64()]
TS_TYPES = [*TEXT_TYPES, pa.int64(), pa.float64(), pa.timestamp("ms", tz="UTC"), pa.null()]
SCOPE_TYPES = [*TEXT_TYPES, pa.null()]

good_ids = st.text(min_size=1, max_size=9) | st.sampled_from(["ann", "bob", "x" * 256, "\0"])
good_days = st.dates(date(2025, 1, 1), date(2026, 12, 31))
good_rows = st.fixed_dictionaries(
    {"user_id": good_ids, "op": st.sampled_from("+-"), "day": good_days}
)
any_rows = st.fixed_dictionaries(
    {
        "user_id": good_ids | st.sampled_from([None, "", "x" * 257, "ü" * 129]),
        "op": st.sampled_from(["+", "-", "*", "", None]),
        "day": st.none() | good_days | st.dates(date(2024, 12, 1), date(2027, 2, 1)),
        "ts": st.none() | st.datetimes(datetime(2024, 12, 1), datetime(2027, 2, 1)),  # noqa: DTZ001
        "scope": st.sampled_from([None, "day", "user", "all"]),
    }
)
tables = st.lists(good_rows, max_size=12) | st.lists(any_rows, max_size=12)
texts = st.sampled_from(TEXT_TYPES)


def as_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        # With values that no row has, before and behind.
        distinct = ["", *dict.fromkeys(each for each in values if each is not None), "x" * 999]
        codes = [None if each is None else distinct.index(each) for each in values]
        return pa.DictionaryArray.from_arrays(
            pa.array(codes, kind.index_type), pa.array(distinct, kind.value_type)
        )
    return pa.array(values, kind)


def as_text(value: Any) -> str | None:
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z"
    return None if value is None else str(value)


def as_day(day: Any, kind: pa.DataType) -> Any:
    return day if pa.types.is_date(kind) else as_text(day)


def as_ts(moment: datetime | None, kind: pa.DataType) -> Any:
    if moment is None or pa.types.is_null(kind):
        return None
    moment = moment.replace(tzinfo=UTC)
    if pa.types.is_timestamp(kind):
        return moment
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return int(moment.timestamp())
    return moment.isoformat()


def batch_of(rows: list[Row], kinds: Row) -> pa.RecordBatch:
    """The rows between two others, which are cut off: what is left begins within its buffers."""
    padded = [{"user_id": "before", "op": "+"}, *rows, {"user_id": "behind", "op": "x"}]
    columns = {
        "user_id": [row["user_id"] for row in padded],
        "op": [row["op"] for row in padded],
        "day": [as_day(row.get("day"), kinds["day"]) for row in padded],
        "ts": [as_ts(row.get("ts"), kinds["ts"]) for row in padded],
        "scope": [None if pa.types.is_null(kinds["scope"]) else row.get("scope") for row in padded],
    }
    arrays = [as_array(values, kinds[name]) for name, values in columns.items()]
    return pa.RecordBatch.from_arrays(arrays, names=list(columns)).slice(1, len(rows))


def raw(fields: Row) -> RawColumns:
    return RawColumns(fields["user_id"], fields["op"], fields["day"], fields["ts"], fields["scope"])


def row_by_row(batch: pa.RecordBatch, rules: EventRules) -> Decoded:
    """As it is judged if a row is no event at all, which is added and left out."""
    rows = [*batch.to_pylist(), dict.fromkeys(batch.schema.names)]
    fields = {name: [row[name] for row in rows] for name in batch.schema.names}
    fields["day"] = [as_text(day) for day in fields["day"]]
    fields["ts"] = [
        each.timestamp() if isinstance(each, datetime) else each for each in fields["ts"]
    ]
    columns = replace(raw(fields), faults={batch.num_rows: "is no event"})
    decoded = judge(columns, rules)
    return replace(decoded, refusals=decoded.refusals[:-1])


def found(decoded: Decoded) -> Any:
    events = decoded.events
    columns = (events.days.tolist(), events.adds.tolist(), events.whole_user.tolist())
    return list(zip(events.user_ids, *columns, strict=True)), decoded.refusals


kinds = st.fixed_dictionaries(
    {
        "user_id": texts,
        "op": texts,
        "day": st.sampled_from(DAY_TYPES),
        "ts": st.sampled_from(TS_TYPES),
        "scope": st.sampled_from(SCOPE_TYPES),
    }
)


@given(rows=tables, kinds=kinds, more=tables, erase_by_default=st.booleans())
@settings(max_examples=400)
def test_a_table_is_judged_as_its_rows_are_one_by_one(
    rows: list[Row],
    kinds: Row,
    more: list[Row],
    erase_by_default: bool,  # noqa: FBT001
    rules: EventRules,
) -> None:
    rules = replace(rules, erase_by_default=erase_by_default)
    batches = [batch_of(each, kinds) for each in (rows, more)]
    parts = [raw(fields_of(batch)) for batch in batches]
    for batch, part in zip(batches, parts, strict=True):
        assert found(judge(part, rules)) == found(row_by_row(batch, rules))
    whole = pa.Table.from_batches(batches).combine_chunks().to_batches()
    if whole:
        assert found(judge(joined(parts), rules)) == found(row_by_row(whole[0], rules))


GOOD: list[Row] = [
    {"user_id": f"u{n % 3}", "op": "+", "day": date(2026, 1, n + 1)} for n in range(6)
]


def kinds_with(kind: pa.DataType) -> Row:
    return {"user_id": kind, "op": kind, "day": kind, "ts": pa.null(), "scope": kind}


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_user_ids_stay_in_the_buffer_of_the_table(kind: pa.DataType) -> None:
    batch = batch_of(GOOD, kinds_with(kind))
    ids = fields_of(batch)["user_id"]
    assert isinstance(ids, TextColumn)
    held = batch.column(0).buffers()[2]
    assert held.address <= ids.octets.ctypes.data < held.address + held.size


@pytest.mark.parametrize("kind", TEXT_TYPES)
def test_other_fields_are_folded_and_so_are_dictionaries_of_user_ids(kind: pa.DataType) -> None:
    fields = fields_of(batch_of(GOOD, kinds_with(kind)))
    assert isinstance(fields["op"], FoldedColumn)
    assert list(fields["op"].values) == ["+"]
    assert isinstance(fields["day"], FoldedColumn)
    assert len(fields["day"].values) == 6
    if pa.types.is_dictionary(kind):
        assert isinstance(fields["user_id"], FoldedColumn)
        assert isinstance(fields["user_id"].values, TextColumn)
        assert list(fields["user_id"].values) == ["u0", "u1", "u2"]


def test_what_no_row_has_does_not_make_a_table_faulty(rules: EventRules) -> None:
    fields = fields_of(batch_of(GOOD, kinds_with(pa.dictionary(pa.int8(), pa.string()))))
    decoded = judge(raw(fields), rules)
    assert decoded.events.user_ids is fields["user_id"]
    assert not decoded.refusals


def test_ids_that_are_all_empty_are_refused(rules: EventRules) -> None:
    rows = [{"user_id": "", "op": "+", "day": date(2026, 1, 1)}] * 3
    for kind in (pa.string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        batch = pa.RecordBatch.from_arrays(
            [
                as_array([row["user_id"] for row in rows], kind),
                *(pa.array([each] * 3) for each in ("+", "2026-01-01", None, None)),
            ],
            names=["user_id", "op", "day", "ts", "scope"],
        )
        assert len(judge(raw(fields_of(batch)), rules).refusals) == 3


@pytest.mark.parametrize("kind", [pa.string(), pa.dictionary(pa.int8(), pa.string())])
@pytest.mark.parametrize("bad", [[0], [999, 1_000], [3_499], [*range(500, 2_600)]])
def test_faults_somewhere_in_many_rows_concern_these_alone(
    kind: pa.DataType, bad: list[int], rules: EventRules
) -> None:
    rows = [{"user_id": f"u{n % 50}", "op": "+", "day": date(2026, 1, 1)} for n in range(3_500)]
    for row in bad:
        rows[row]["op"] = "*"
    fields = fields_of(batch_of(rows, kinds_with(kind)))
    decoded = judge(raw(fields), rules)
    assert [refusal.index for refusal in decoded.refusals] == bad
    assert {refusal.reason for refusal in decoded.refusals} == {'op is neither "+" nor "-"'}
    good = [row["user_id"] for number, row in enumerate(rows) if number not in set(bad)]
    assert list(decoded.events.user_ids) == good
    assert len(decoded.events.days) == decoded.events.adds.sum() == len(good)
    assert type(decoded.events.user_ids) is type(fields["user_id"])
