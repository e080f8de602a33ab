import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dpdau.errors import BatchTooLargeError, MalformedBodyError
from dpdau.formats import Decoded, EventRules, require_all
from dpdau.formats.arrow_events import arrow_rows, decode_arrow, parquet_rows
from dpdau.formats.columns import joined, judge
from dpdau.model.texts import FoldedColumn

DAY = date(2026, 1, 31)
GOOD: dict[str, Any] = {"user_id": ["ann", "bob"], "op": ["+", "-"], "day": [DAY, DAY]}
Decode = Callable[..., Decoded]


def as_arrow(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=1_000)
    return sink.getvalue()


def as_parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def decode_parquet(file: bytes, rules: EventRules) -> Decoded:
    rows = parquet_rows(io.BytesIO(file), 1_000)
    return judge(joined([each.columns for each in rows]), rules)


@pytest.fixture(params=["arrow", "parquet"])
def decode(request: pytest.FixtureRequest, rules: EventRules) -> Decode:
    """Both formats decode the same table the same way."""

    def decode(columns: Any, rules: EventRules = rules) -> Decoded:
        table = pa.table(columns)
        if request.param == "arrow":
            return decode_arrow(as_arrow(table), rules)
        return decode_parquet(as_parquet(table), rules)

    return decode


def reasons(decoded: Decoded) -> dict[int, str]:
    return {refusal.index: refusal.reason for refusal in decoded.refusals}


@pytest.mark.parametrize("text_type", [pa.string(), pa.large_string(), pa.string_view()])
def test_text_of_any_width_is_read(decode: Decode, text_type: pa.DataType) -> None:
    columns = {name: pa.array(map(str, values), text_type) for name, values in GOOD.items()}
    events = require_all(decode(columns))
    assert list(events.user_ids) == ["ann", "bob"]
    assert events.days.tolist() == [DAY.toordinal()] * 2
    assert events.adds.tolist() == [True, False]


def test_dictionaries_are_read(decode: Decode) -> None:
    columns = {
        "user_id": pa.array(["ann", "bob", None, "ann"]).dictionary_encode(),
        "op": pa.array(["+"] * 4).dictionary_encode(),
        "day": pa.array([str(DAY)] * 4).dictionary_encode(),
    }
    decoded = decode(columns)
    assert list(decoded.events.user_ids) == ["ann", "bob", "ann"]
    assert reasons(decoded) == {2: "user_id is missing; expected a string of 1 to 256 bytes"}


@pytest.mark.parametrize("date_type", [pa.date32(), pa.date64()])
def test_dates_are_read(decode: Decode, date_type: pa.DataType) -> None:
    events = require_all(decode({**GOOD, "day": pa.array(GOOD["day"], date_type)}))
    assert events.days.tolist() == [DAY.toordinal()] * 2


def test_dates_beyond_the_calendar_are_refused(decode: Decode) -> None:
    days = pa.array([10**9, -(10**9)], pa.int32()).cast(pa.date32())
    expected = "day is not a calendar day written as YYYY-MM-DD"
    assert reasons(decode({**GOOD, "day": days})) == {0: expected, 1: expected}


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_with_a_zone_fall_on_their_day(decode: Decode, unit: str) -> None:
    moments = [datetime(2026, 1, 31, 22, 59, 59, tzinfo=UTC), datetime(2026, 1, 31, 23, tzinfo=UTC)]
    timestamps = pa.array(moments, pa.timestamp(unit, tz="America/New_York"))
    columns = {"user_id": GOOD["user_id"], "op": GOOD["op"], "ts": timestamps}
    events = require_all(decode(columns))
    assert events.days.tolist() == [DAY.toordinal(), DAY.toordinal() + 1]


@pytest.mark.parametrize(
    "timestamps",
    [
        pa.array([1_769_900_399, 1_769_900_400]),
        pa.array([1_769_900_399.9, 1_769_900_400.1]),
        pa.array(["2026-01-31T22:59:59Z", "2026-02-01T00:00:00+01:00"]),
    ],
)
def test_numbers_and_text_serve_as_timestamps(decode: Decode, timestamps: pa.Array) -> None:
    columns = {"user_id": GOOD["user_id"], "op": GOOD["op"], "ts": timestamps}
    events = require_all(decode(columns))
    assert events.days.tolist() == [DAY.toordinal(), DAY.toordinal() + 1]


def test_null_stands_for_an_absent_field(decode: Decode) -> None:
    stamps = pa.array([None, 1_769_850_000_000], pa.timestamp("ms", tz="UTC"))
    columns = {**GOOD, "day": [DAY, None], "ts": stamps, "scope": [None, "user"]}
    events = require_all(decode(columns))
    assert events.days.tolist() == [DAY.toordinal()] * 2
    assert events.whole_user.tolist() == [False, True]


def test_a_column_of_nothing_but_nulls_is_an_absent_field(decode: Decode) -> None:
    columns = {**GOOD, "ts": pa.nulls(2), "scope": pa.nulls(2)}
    assert len(require_all(decode(columns))) == 2


def test_bad_rows_are_refused_with_their_reasons(decode: Decode) -> None:
    columns = {
        "user_id": ["ann", "", None],
        "op": ["add", "+", "+"],
        "ts": [0.0, float("nan"), float("inf")],
    }
    assert {i: reason.split(";")[0] for i, reason in reasons(decode(columns)).items()} == {
        0: 'op is neither "+" nor "-"',
        1: "user_id is empty",
        2: "user_id is missing",
    }


def test_metadata_columns_are_not_even_read(decode: Decode) -> None:
    columns = {**GOOD, "metadata": [{"a": 1}, None], "metadata.country": [b"\xff", b""]}
    assert len(require_all(decode(columns))) == 2


def test_several_batches_are_one_batch_of_events(decode: Decode) -> None:
    columns = {name: values * 1_500 for name, values in GOOD.items()}
    events = require_all(decode(columns))
    assert list(events.user_ids) == ["ann", "bob"] * 1_500


def test_a_table_without_rows_is_an_empty_batch(decode: Decode) -> None:
    assert decode(pa.table(GOOD).slice(0, 0)).size == 0


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({**GOOD, "user_id": [1, 2]}, "column user_id does not hold text"),
        ({**GOOD, "op": [True, False]}, "column op does not hold text"),
        ({**GOOD, "day": [1, 2]}, "column day does not hold dates, or text"),
        (
            {**GOOD, "ts": [datetime(2026, 1, 31)] * 2},  # noqa: DTZ001
            "column ts does not hold timestamps with a time zone, seconds since 1970, or text",
        ),
        ({**GOOD, "ts": [True, False]}, "column ts does not hold timestamps"),
        ({**GOOD, "source": ["x", "y"]}, "the name of column 4 is unknown"),
        ({"user_id": ["ann"], "op": ["+"]}, "there is neither a column day nor a column ts"),
    ],
)
def test_columns_that_are_not_an_events_are_malformed(
    decode: Decode, columns: Any, reason: str
) -> None:
    with pytest.raises(MalformedBodyError, match=reason):
        decode(columns)


def test_more_events_than_allowed_are_refused(rules: EventRules) -> None:
    body = as_arrow(pa.table({name: values * 2_000 for name, values in GOOD.items()}))
    assert decode_arrow(body, replace(rules, max_events=4_000)).size == 4_000
    with pytest.raises(BatchTooLargeError, match="limit is 3,999"):
        decode_arrow(body, replace(rules, max_events=3_999))


def test_text_that_is_no_utf_8_is_malformed(rules: EventRules) -> None:
    broken = pa.array([b"\xff", b"x"]).view(pa.string())
    with pytest.raises(MalformedBodyError, match="damaged, cut short or something else"):
        decode_arrow(as_arrow(pa.table({**GOOD, "user_id": broken})), rules)
    with pytest.raises(MalformedBodyError, match="damaged, cut short or something else"):
        decode_parquet(as_parquet(pa.table({**GOOD, "user_id": broken})), rules)


@pytest.mark.parametrize("body", [b"", b"PAR1", b"ARROW1", b"\xff\xff\xff\xff", b"{}", b"PAR1" * 9])
def test_other_bytes_are_malformed(body: bytes, rules: EventRules) -> None:
    with pytest.raises(MalformedBodyError, match="Arrow"):
        decode_arrow(body, rules)
    with pytest.raises(MalformedBodyError, match="Parquet"):
        decode_parquet(body, rules)


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
@pytest.mark.parametrize("in_dictionary", ["user_id", "op"])
def test_compressed_arrow_buffers_are_refused(
    codec: str,
    in_dictionary: str,
    rules: EventRules,
) -> None:
    columns = {
        "user_id": pa.array(["ann", "bob"] * 1_000),
        "op": pa.array(["+"] * 2_000),
        "day": pa.array([str(DAY)] * 2_000),
    }
    columns[in_dictionary] = columns[in_dictionary].dictionary_encode()
    assert decode_arrow(as_arrow(pa.table(columns)), rules).size == 2_000
    with pytest.raises(MalformedBodyError, match="compress the body as a whole instead"):
        decode_arrow(as_arrow(pa.table(columns), compression=codec), rules)


def test_a_value_that_is_stored_once_is_held_once(rules: EventRules) -> None:
    codes = pa.array([0] * 10_000, pa.int32())
    user_ids = pa.DictionaryArray.from_arrays(codes, pa.array(["x" * 256]))
    table = pa.table({"user_id": user_ids, "op": ["+"] * 10_000, "day": [DAY] * 10_000})
    for decoded in (
        decode_arrow(as_arrow(table), rules),
        decode_parquet(as_parquet(table), rules),
        decode_parquet(as_parquet(table, store_schema=False), rules),
    ):
        assert len(set(map(id, require_all(decoded).user_ids))) < 20


def views_of(text: bytes, rows: int) -> pa.Array:
    """As many views of one text, which is held once."""
    views = np.zeros((rows, 4), dtype=np.int32)
    views[:, 0], views[:, 1] = len(text), np.frombuffer(text[:4], dtype=np.int32)
    buffers = [None, pa.py_buffer(views.tobytes()), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string_view(), rows, buffers)


@pytest.mark.parametrize("name", ["user_id", "op", "scope"])
def test_views_of_one_text_unfold_into_good_ids_but_not_into_much(
    name: str, rules: EventRules
) -> None:
    table = pa.table({"user_id": ["x"] * 900, "op": ["+"] * 900, "day": [DAY] * 900})

    def body(text: bytes) -> bytes:
        place = table.schema.get_field_index(name)
        others = table.remove_column(place) if place >= 0 else table
        return as_arrow(others.append_column(name, views_of(text, 900)))

    if name == "user_id":
        assert (
            list(require_all(decode_arrow(body(b"x" * 256), rules)).user_ids) == ["x" * 256] * 900
        )
    else:
        assert len(decode_arrow(body(b"x" * 256), rules).refusals) == 900
    for decode in (decode_arrow, lambda body, _: list(arrow_rows(io.BytesIO(body), 1_000))):
        with pytest.raises(MalformedBodyError, match="share texts that are too long"):
            decode(body(b"x" * 100_000), rules)


@pytest.mark.parametrize(("size", "is_good"), [(256, True), (100_000, False)])
def test_batches_that_share_a_dictionary_do_not_unfold_it_for_each(
    size: int,
    is_good: bool,  # noqa: FBT001
    rules: EventRules,
) -> None:
    ids = pa.array([letter * size for letter in "abcdef"])
    batch = pa.record_batch(
        {
            "user_id": pa.DictionaryArray.from_arrays(pa.array(range(6), pa.int8()), ids),
            "op": pa.array(["+"] * 6),
            "ts": pa.array(["2026-01-31T10:00:00Z"] * 6),
        }
    )
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        for _ in range(200):
            writer.write_batch(batch)
    if is_good:
        assert (
            list(require_all(decode_arrow(sink.getvalue(), rules)).user_ids)
            == ids.to_pylist() * 200
        )
    else:
        with pytest.raises(MalformedBodyError, match="share texts that are too long"):
            decode_arrow(sink.getvalue(), rules)


def test_parquet_gives_the_same_ids_however_often_they_repeat(rules: EventRules) -> None:
    for distinct in (1, 50, 500, 4_000):
        for dictionary in (True, False):
            ids = [f"user {number % distinct}" for number in range(4_000)]
            table = pa.table({"user_id": ids, "op": ["+"] * 4_000, "day": [DAY] * 4_000})
            file = as_parquet(table, use_dictionary=dictionary, row_group_size=1_500)
            assert list(require_all(decode_parquet(file, rules)).user_ids) == ids


@pytest.mark.parametrize(
    ("distinct", "dictionary", "is_folded"),
    [(4_000, True, False), (4_000, False, False), (20, True, True), (20, False, True)],
)
def test_parquet_is_read_with_dictionaries_of_ids_only_where_they_repeat(
    distinct: int,
    dictionary: bool,  # noqa: FBT001
    is_folded: bool,  # noqa: FBT001
) -> None:
    ids = [f"user {number % distinct}" for number in range(4_000)]
    table = pa.table({"user_id": ids, "op": ["+"] * 4_000, "day": [DAY] * 4_000})
    file = as_parquet(table, use_dictionary=dictionary)
    (rows,) = parquet_rows(io.BytesIO(file), 10_000)
    assert isinstance(rows.columns.user_ids, FoldedColumn) == is_folded
