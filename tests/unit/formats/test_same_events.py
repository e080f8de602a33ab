"""The same events give the same columns in every format."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpdau.formats import Decoded, EventRules, decode_body, decompress, read_file
from dpdau.model.events import EventColumns

Event: TypeAlias = dict[str, Any]

FIRST, LAST = date(2025, 1, 1), date(2026, 12, 31)
FIELDS = ("user_id", "op", "day", "ts", "scope")

user_ids = st.text(max_size=80) | st.sampled_from(["ann", "bob", "", "x" * 257, "a,\r\n\"b'", "\0"])
days = (
    st.dates(FIRST - timedelta(days=3), LAST + timedelta(days=3)).map(str)
    | st.dates(FIRST, LAST).map(str)
    | st.sampled_from(["2026-02-29", "x", "0000-01-01"])
)
times = (
    st.datetimes().map(lambda moment: f"{moment.isoformat()}+05:30")
    | st.dates(FIRST, LAST).map(lambda day: f"{day}T23:30:00.123456789Z")
    | st.sampled_from(["now", "2024-12-31T23:59:60Z"])
)
events = st.fixed_dictionaries(
    {"user_id": user_ids, "op": st.sampled_from(["+", "-", "*"])},
    optional={"scope": st.sampled_from(["day", "user", "all"]), "day": days, "ts": times},
)
well_formed = st.fixed_dictionaries(
    {
        "user_id": st.text(min_size=1, max_size=60),
        "op": st.sampled_from("+-"),
        "day": st.dates(FIRST, LAST).map(str),
    }
)
batches = st.lists(events, max_size=12) | st.lists(well_formed, max_size=12)


def as_json(batch: list[Event]) -> bytes:
    return json.dumps({"events": batch}).encode()


def as_ndjson(batch: list[Event]) -> bytes:
    return "\n".join(json.dumps(event, ensure_ascii=False) for event in batch).encode()


def as_csv(batch: list[Event]) -> bytes:
    sink = io.StringIO(newline="")
    writer = csv.DictWriter(sink, [*FIELDS, "metadata.x"], quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(batch)
    return sink.getvalue().encode()


def as_table(batch: list[Event]) -> pa.Table:
    schema = pa.schema([(name, pa.string()) for name in FIELDS])
    return pa.Table.from_pylist(batch, schema)


def as_arrow(batch: list[Event]) -> bytes:
    sink, table = io.BytesIO(), as_table(batch)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)
    return sink.getvalue()


def as_parquet(batch: list[Event]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(as_table(batch), sink, row_group_size=5)
    return sink.getvalue()


ENCODERS: dict[str, Callable[[list[Event]], bytes]] = {
    "application/json": as_json,
    "application/x-ndjson": as_ndjson,
    "text/csv": as_csv,
    "application/vnd.apache.arrow.stream": as_arrow,
}
FILES: dict[str, Callable[[list[Event]], bytes]] = {
    ".ndjson": as_ndjson,
    ".csv": as_csv,
    ".arrow": as_arrow,
    ".parquet": as_parquet,
    ".jsonl.gz": lambda batch: gzip.compress(as_ndjson(batch)),
    ".csv.zst": lambda batch: zstandard.compress(as_csv(batch)),
}
ENCODINGS: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
}


def rows(events: EventColumns) -> list[tuple[Any, ...]]:
    assert events.days.dtype == np.int32
    assert events.adds.dtype == events.whole_user.dtype == np.bool_
    columns = (events.days.tolist(), events.adds.tolist(), events.whole_user.tolist())
    return list(zip(events.user_ids, *columns, strict=True))


def judged(decoded: Decoded) -> tuple[Any, ...]:
    return rows(decoded.events), decoded.refusals


@given(batch=batches, default_scope=st.sampled_from(["day", "user"]))
@settings(max_examples=60)
def test_bodies_of_every_format_and_encoding(
    batch: list[Event], default_scope: str, rules: EventRules
) -> None:
    rules = replace(rules, erase_by_default=default_scope == "user")
    expected = judged(decode_body("application/json", as_json(batch), rules))
    assert len(expected[0]) + len(expected[1]) == len(batch)
    for media_type, encode in ENCODERS.items():
        for encoding, compress in ENCODINGS.items():
            body = decompress(compress(encode(batch)), encoding, 10**6)
            assert judged(decode_body(media_type, body, rules)) == expected, media_type


@given(batch=batches, chunk_events=st.integers(1, 15))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_files_of_every_format(
    batch: list[Event], chunk_events: int, rules: EventRules, tmp_path: Path
) -> None:
    decoded = decode_body("application/json", as_json(batch), rules)
    for suffix, encode in FILES.items():
        path = tmp_path / f"events{suffix}"
        path.write_bytes(encode(batch))
        chunks = list(read_file(path, rules, chunk_events))
        assert [row for chunk in chunks for row in rows(chunk.events)] == rows(decoded.events)
        reasons = [line.reason for chunk in chunks for line in chunk.refused_lines]
        assert reasons == [refusal.reason for refusal in decoded.refusals], suffix


@given(seconds=st.integers(-(10**10), 10**13) | st.floats(1.7e9, 1.8e9) | st.floats())
def test_seconds_since_1970_mean_the_same_everywhere(seconds: float, rules: EventRules) -> None:
    event = {"user_id": "ann", "op": "+", "ts": seconds}
    table, sink = pa.Table.from_pylist([event]), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    expected = decode_body("application/vnd.apache.arrow.stream", sink.getvalue(), rules).events
    assert rows(decode_body("text/csv", as_csv([event]), rules).events) == rows(expected)
    if np.isfinite(seconds):
        assert rows(decode_body("application/json", as_json([event]), rules).events) == rows(
            expected
        )


@pytest.mark.parametrize("bad_event", [{}, {"user_id": "ann", "op": "+"}])
def test_a_bad_event_changes_nothing_about_the_good_ones(
    bad_event: Event, rules: EventRules
) -> None:
    good = [{"user_id": "ann", "op": op, "day": str(FIRST)} for op in "+-+"]
    stamped = [{"user_id": "bob", "op": "-", "ts": "2026-01-01T00:00:00Z", "scope": "user"}]
    decode = partial(decode_body, "application/json", rules=rules)
    alone = decode(body=as_json(good + stamped))
    beside = decode(body=as_json([*good, bad_event, *stamped]))
    assert rows(alone.events) == rows(beside.events)
    assert [refusal.index for refusal in beside.refusals] == [3]
