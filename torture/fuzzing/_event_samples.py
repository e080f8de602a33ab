"""Sound events in every format: what the fuzzers begin with."""

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from dpdau.formats import FILE_SUFFIXES

__all__ = [
    "PLAIN_TEXT",
    "arrow_seeds",
    "body_seeds",
    "document",
    "encoded",
    "encoding_seeds",
    "file_of",
    "file_seeds",
    "ndjson",
    "parquet_of",
    "stream_of",
    "table_text",
    "tables",
]

_EVENTS: Sequence[Mapping[str, Any]] = (
    {"user_id": "ada", "op": "+", "day": "2026-01-31"},
    {"user_id": "bob é", "op": "-", "day": "2026-02-28"},
    {"user_id": "eve", "op": "-", "day": "2025-12-31", "scope": "user"},
    {"user_id": 'say "hi",\n', "op": "+", "ts": "2026-01-31T23:59:60.5+01:00"},
    {"user_id": "x" * 256, "op": "-", "ts": 1_769_900_000, "scope": "day"},
    {"user_id": "mallory", "op": "+", "ts": 1.7e9, "metadata": {"a": [1, {"b": None}]}},
)


def encoded(event: Mapping[str, Any]) -> bytes:
    """An event as a line of NDJSON."""
    return json.dumps(event).encode()


def stream_of(table: pa.Table) -> bytes:
    """A table as an Arrow stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def file_of(table: pa.Table) -> bytes:
    """A table as an Arrow file."""
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def parquet_of(table: pa.Table) -> bytes:
    """A table as a Parquet file, of several row groups if it is long enough."""
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=4)
    return sink.getvalue()


def document() -> bytes:
    """Events as a JSON document."""
    return json.dumps({"events": _EVENTS}, ensure_ascii=False).encode()


def ndjson() -> bytes:
    """Events a line each."""
    return b"\n".join(map(encoded, _EVENTS))


def table_text() -> bytes:
    """Events as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["user_id", "op", "day", "ts", "scope"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(_EVENTS)
    return text.getvalue().encode()


PLAIN_TEXT = b"user_id,op,day\nada,+,2026-01-31\nbob,-,2026-02-01\n\neve,+,2026-02-02\n"


def tables() -> tuple[pa.Table, pa.Table, pa.Table]:
    """Events in plain columns, in dictionaries, and in columns of other types."""
    plain = pa.Table.from_pylist(
        [{"user_id": f"u{i % 3}é", "op": "+-"[i % 2], "day": "2026-01-31"} for i in range(8)]
    )
    folded = pa.table(
        [each.combine_chunks().dictionary_encode() for each in plain.columns], plain.column_names
    )
    typed = pa.table(
        {
            "user_id": pa.array(["ada", None, "bob"], pa.large_string()),
            "op": pa.array(["+", "-", "+"]),
            "day": pa.array([20_484, None, 20_485], pa.date32()),
            "ts": pa.array([None, 1_769_900_000_000, None], pa.timestamp("ms", "UTC")),
        }
    )
    return plain, folded, typed


def body_seeds() -> list[bytes]:
    """Bodies behind the number of their media type."""
    texts = [document(), ndjson(), ndjson(), table_text(), stream_of(tables()[0])]
    return [bytes([number]) + text for number, text in enumerate(texts)]


def arrow_seeds() -> list[bytes]:
    """Every table as a stream and as a file."""
    return [write(table) for table in tables() for write in (stream_of, file_of)]


def encoding_seeds() -> list[bytes]:
    """Compressed bodies behind the number of their encoding."""
    text = ndjson()
    return [
        b"\0" + gzip.compress(text),
        b"\0" + gzip.compress(text) + gzip.compress(b"more") + b"\0" * 20,
        b"\1" + zstandard.compress(text),
        b"\1" + zstandard.ZstdCompressor(write_content_size=False).compress(text),
        b"\2" + text,
    ]


def file_seeds() -> list[bytes]:
    """Files behind the number of their ending."""
    seeds = []
    for number, suffix in enumerate(each for each in FILE_SUFFIXES if each != ".parquet"):
        text = table_text() if suffix.startswith(".csv") else ndjson()
        if suffix == ".arrow":
            text = file_of(tables()[1])
        elif suffix.endswith(".gz"):
            text = gzip.compress(text)
        elif suffix.endswith(".zst"):
            text = zstandard.compress(text)
        seeds.append(bytes([number]) + text)
    return seeds
