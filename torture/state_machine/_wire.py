"""Events as clients send them: every format and compression that the service takes."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

__all__ = ["ENCODINGS", "MEDIA", "WireEvent", "encoded", "parquet"]

_FIELDS = ("user_id", "op", "day", "ts", "scope")


@dataclass(frozen=True, slots=True)
class WireEvent:
    """What is sent of one event, good or bad; None for what is left out."""

    user_id: str
    op: str
    day: str | None = None
    ts: str | None = None
    scope: str | None = None

    def fields(self) -> dict[str, str]:
        """What is not left out."""
        values = {name: getattr(self, name) for name in _FIELDS}
        return {name: value for name, value in values.items() if value is not None}


def encoded(
    events: Sequence[WireEvent], media: str, encoding: str | None
) -> tuple[bytes, dict[str, str]]:
    """A body and its headers."""
    headers = {"Content-Type": media}
    body = MEDIA[media](events)
    if encoding is not None:
        headers["Content-Encoding"] = encoding
        body = ENCODINGS[encoding](body)
    return body, headers


def parquet(events: Sequence[WireEvent]) -> bytes:
    """The events as a Parquet file."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_batches([_batch(events)]), file)
    return file.getvalue()


def _json(events: Sequence[WireEvent]) -> bytes:
    return json.dumps({"events": [event.fields() for event in events]}).encode()


def _lines(events: Sequence[WireEvent]) -> bytes:
    return "".join(json.dumps(event.fields()) + "\n" for event in events).encode()


def _csv(events: Sequence[WireEvent]) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, [*_FIELDS, "metadata.source"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(event.fields() for event in events)
    return file.getvalue().encode()


def _arrow(events: Sequence[WireEvent]) -> bytes:
    batch = _batch(events)
    file = io.BytesIO()
    with pa.ipc.new_stream(file, batch.schema) as writer:
        writer.write_batch(batch)
    return file.getvalue()


def _batch(events: Sequence[WireEvent]) -> pa.RecordBatch:
    columns = {name: [getattr(event, name) for event in events] for name in _FIELDS}
    return pa.RecordBatch.from_pydict(
        columns, schema=pa.schema([(name, pa.string()) for name in _FIELDS])
    )


MEDIA: Final[Mapping[str, Callable[[Sequence[WireEvent]], bytes]]] = MappingProxyType(
    {
        "application/json": _json,
        "application/x-ndjson": _lines,
        "text/csv": _csv,
        "application/vnd.apache.arrow.stream": _arrow,
    }
)
ENCODINGS: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {"gzip": gzip.compress, "zstd": zstandard.compress}
)
