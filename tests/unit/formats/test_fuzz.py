"""Whatever the bytes: events, refusals or an error of our own, and never another exception."""

import gzip
import io
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpdau.errors import DpdauError
from dpdau.formats import (
    FILE_SUFFIXES,
    MEDIA_TYPES,
    EventRules,
    decode_body,
    decompress,
    read_file,
    require_all,
)
from dpdau.formats.arrow_events import decode_arrow, parquet_rows

EVENTS = [
    {"user_id": f"u{i % 3}é", "op": "+-"[i % 2], "day": "2026-01-31", "ts": None, "scope": None}
    for i in range(8)
]


def _seeds() -> dict[str, bytes]:
    table = pa.Table.from_pylist(EVENTS, pa.schema([(n, pa.string()) for n in EVENTS[0]]))
    dictionaries = pa.table(
        [c.combine_chunks().dictionary_encode() for c in table.columns], table.schema.names
    )
    sinks: list[Any] = [io.BytesIO() for _ in range(4)]
    with pa.ipc.new_stream(sinks[0], table.schema) as writer:
        writer.write_table(table)
    with pa.ipc.new_stream(sinks[1], dictionaries.schema) as writer:
        writer.write_table(dictionaries)
    with pa.ipc.new_file(sinks[2], dictionaries.schema) as writer:
        writer.write_table(dictionaries)
    pq.write_table(table, sinks[3])
    return {
        "json": json.dumps({"events": EVENTS}).encode(),
        "ndjson": "\n".join(map(json.dumps, EVENTS)).encode(),
        "csv": b"user_id,op,day\n" + b'"u,1",+,2026-01-31\r\n' * 5,
        "arrow stream": sinks[0].getvalue(),
        "arrow dictionaries": sinks[1].getvalue(),
        "arrow file": sinks[2].getvalue(),
        "parquet": sinks[3].getvalue(),
    }


SEEDS = _seeds()
SEEDS |= {"gzip": gzip.compress(SEEDS["ndjson"]), "zstd": zstandard.compress(SEEDS["ndjson"])}
ARROW_BODIES = [data for name, data in SEEDS.items() if name.startswith("arrow")]
TOKENS = st.sampled_from(
    [b"{", b"[", b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"\\ud800", b"1e999", b"null", b"9" * 40]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A valid document with some bytes replaced, inserted, removed or repeated."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = start + draw(st.sampled_from([0, 0, 1, 4, 8, 64]))
        data[start:end] = draw(st.binary(max_size=8) | TOKENS)
    return bytes(data)


documents = st.binary(max_size=200) | mutated(sorted(SEEDS.values()))


@given(body=documents, media_type=st.sampled_from(MEDIA_TYPES))
@settings(max_examples=200)
def test_bodies(body: bytes, media_type: str, rules: EventRules) -> None:
    with suppress(DpdauError):
        decoded = decode_body(media_type, body, rules)
        assert decoded.size == len(decoded.events) + len(decoded.refusals)
        assert all(1 <= len(user_id.encode()) <= 256 for user_id in decoded.events.user_ids)
        require_all(decoded)


@given(body=mutated(ARROW_BODIES))
@settings(max_examples=200)
def test_damaged_arrow(body: bytes, rules: EventRules) -> None:
    with suppress(DpdauError):
        decoded = decode_arrow(body, rules)
        assert all(1 <= len(user_id.encode()) <= 256 for user_id in decoded.events.user_ids)


def test_no_zeroed_byte_of_an_arrow_body_ends_the_process(rules: EventRules) -> None:
    limited = replace(rules, max_events=100)
    for body in ARROW_BODIES:
        for position in range(len(body)):
            with suppress(DpdauError):
                decode_arrow(body[:position] + b"\0" + body[position + 1 :], limited)


def test_no_zeroed_byte_of_a_parquet_file_ends_the_process() -> None:
    # pyarrow aborts on some damaged footers if their columns' metadata is looked at.
    seed = SEEDS["parquet"]
    for position in range(len(seed)):
        damaged = io.BytesIO(seed[:position] + b"\0" + seed[position + 1 :])
        with suppress(DpdauError):
            list(parquet_rows(damaged, 100))


@given(body=documents, encoding=st.sampled_from(["gzip", "zstd", None]) | st.text(max_size=8))
def test_encodings(body: bytes, encoding: str | None) -> None:
    with suppress(DpdauError):
        assert len(decompress(body, encoding, 10_000)) <= 10_000


@given(data=documents, suffix=st.sampled_from(FILE_SUFFIXES), chunk_events=st.integers(1, 20))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_files(
    data: bytes, suffix: str, chunk_events: int, rules: EventRules, tmp_path: Path
) -> None:
    path = tmp_path / f"events{suffix}"
    path.write_bytes(data)
    with suppress(DpdauError):
        for chunk in read_file(path, rules, chunk_events):
            assert all(line.line_number >= 1 for line in chunk.refused_lines)
            assert "".join(line.text for line in chunk.refused_lines).encode() is not None


@given(value=VALUES)
@settings(max_examples=60)
def test_json_values_in_the_place_of_events_and_fields(value: Any, rules: EventRules) -> None:
    good = EVENTS[0]
    batch = [value, *({**good, name: value} for name in good), {**good, "metadata": value}]
    for document in ({"events": batch}, {"events": value}, value):
        with suppress(DpdauError):
            decoded = decode_body("application/json", json.dumps(document).encode(), rules)
            assert all(1 <= len(user_id.encode()) <= 256 for user_id in decoded.events.user_ids)
