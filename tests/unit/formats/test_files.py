import gzip
import hashlib
import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from dpdau.errors import FileUnreadableError
from dpdau.formats import FILE_SUFFIXES, EventRules, FileChunk, file_size, read_file

DAY = "2026-01-31"
EVENTS = [{"user_id": f"user {i}", "op": "+-"[i % 2], "day": DAY} for i in range(25)]


def as_jsonl(events: Any) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def as_csv(events: Any) -> bytes:
    rows = [f"{event['user_id']},{event['op']},{event['day']}\n" for event in events]
    return "".join(["user_id,op,day\n", *rows]).encode()


def as_arrow(events: Any, *, stream: bool = False, **options: Any) -> bytes:
    table, sink = pa.Table.from_pylist(events), io.BytesIO()
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=10)
    return sink.getvalue()


def as_parquet(events: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(events), sink, row_group_size=10)
    return sink.getvalue()


def content(suffix: str, events: Any) -> bytes:
    encoders = {
        ".jsonl": as_jsonl,
        ".ndjson": as_jsonl,
        ".csv": as_csv,
        ".arrow": as_arrow,
        ".parquet": as_parquet,
    }
    stem, _, compression = suffix[1:].partition(".")
    compress = {"gz": gzip.compress, "zst": zstandard.compress, "": bytes}[compression]
    return compress(encoders["." + stem](events))


def written(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def user_ids(chunks: list[FileChunk]) -> list[str]:
    return [user_id for chunk in chunks for user_id in chunk.events.user_ids]


@pytest.mark.parametrize("suffix", FILE_SUFFIXES)
def test_files_of_every_kind_are_read_in_chunks(
    suffix: str, tmp_path: Path, rules: EventRules
) -> None:
    path = written(tmp_path, "Events.2026" + suffix.upper(), content(suffix, EVENTS))
    chunks = list(read_file(path, rules, chunk_events=7))
    assert user_ids(chunks) == [event["user_id"] for event in EVENTS]
    assert [day for chunk in chunks for day in chunk.events.days.tolist()] == [
        date(2026, 1, 31).toordinal()
    ] * 25
    assert len(chunks) >= 4
    assert all(len(chunk.events) <= 7 for chunk in chunks)
    assert not any(chunk.refused_lines for chunk in chunks)


@pytest.mark.parametrize("suffix", FILE_SUFFIXES)
def test_progress_rises_to_the_size_of_the_file(
    suffix: str, tmp_path: Path, rules: EventRules
) -> None:
    path = written(tmp_path, "events" + suffix, content(suffix, EVENTS))
    chunks = list(read_file(path, rules, chunk_events=10))
    progress = [chunk.bytes_read for chunk in chunks]
    assert progress == sorted(progress)
    assert progress[0] > 0
    assert progress[-1] <= file_size(path) == path.stat().st_size
    assert progress[-1] >= 0.5 * file_size(path)
    assert chunks[-1].lines_read == 25 + suffix.startswith(".csv")


def test_an_arrow_stream_and_compressed_buffers_are_read(tmp_path: Path, rules: EventRules) -> None:
    for compression in (None, "zstd", "lz4"):
        for stream in (True, False):
            data = as_arrow(EVENTS, stream=stream, compression=compression)
            path = written(tmp_path, "events.arrow", data)
            assert len(user_ids(list(read_file(path, rules)))) == 25


def test_refused_json_lines_come_with_number_reason_and_text(
    tmp_path: Path, rules: EventRules
) -> None:
    good = as_jsonl(EVENTS[:1])
    path = written(tmp_path, "events.jsonl", b"\n" + good + b"{\n\r\n" + good + b'{"op":"\xff"}')
    chunks = list(read_file(path, rules))
    assert user_ids(chunks) == ["user 0", "user 0"]
    refused = [line for chunk in chunks for line in chunk.refused_lines]
    assert [(line.line_number, line.reason, line.text) for line in refused] == [
        (3, "is not valid JSON: it ends early", "{"),
        (6, "user_id is missing; expected a string of 1 to 256 bytes", '{"op":"\\xff"}'),
    ]


def test_refused_csv_rows_come_with_the_line_where_they_begin(
    tmp_path: Path, rules: EventRules
) -> None:
    lines = [
        b"user_id,op,day",
        b'"two',
        b'lines",+,2026-01-31',
        b"",
        b'"bad',
        b'lines",*,2026-01-31',
        b"ann,+",
        b"bob,+,2026-01-31",
        b"bob,+,2026-01-31",
    ]
    path = written(tmp_path, "events.csv", b"\r\n".join(lines))
    for chunk_events in range(1, 12):
        chunks = list(read_file(path, rules, chunk_events))
        assert user_ids(chunks) == ["two\r\nlines", "bob", "bob"]
        refused = [line for chunk in chunks for line in chunk.refused_lines]
        assert [(line.line_number, line.reason) for line in refused] == [
            (5, 'op is neither "+" nor "-"'),
            (7, "has 2 cells; the header has 3"),
        ]
        assert refused[0].text == '"bad\r\nlines",*,2026-01-31\r'
        assert chunks[-1].lines_read == 9


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_refused_rows_of_tables_come_with_their_number_and_fields(
    suffix: str, tmp_path: Path, rules: EventRules
) -> None:
    events = [*EVENTS[:12], {"user_id": "ann", "op": "*", "day": None}, *EVENTS[12:]]
    path = written(tmp_path, "events" + suffix, content(suffix, events))
    chunks = list(read_file(path, rules, chunk_events=5))
    (line,) = [line for chunk in chunks for line in chunk.refused_lines]
    assert line.line_number == 13
    assert line.reason == 'op is neither "+" nor "-"'
    assert json.loads(line.text) == {"user_id": "ann", "op": "*"}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_line_without_end_is_refused_in_bounded_memory_and_the_next_is_read(
    suffix: str, tmp_path: Path, rules: EventRules
) -> None:
    good = content(suffix, EVENTS[:1])
    path = written(tmp_path, "events" + suffix, good + b"x" * 10_000_000 + b"\n" + good[-40:])
    chunks = list(read_file(path, rules))
    (line, *_) = [line for chunk in chunks for line in chunk.refused_lines]
    assert line.reason == "is longer than 1,048,576 bytes"
    assert line.line_number == 2 + suffix.startswith(".csv")
    assert len(line.text) < 6_000_000


def test_an_empty_file_of_events_has_no_events(tmp_path: Path, rules: EventRules) -> None:
    table, arrow, parquet = pa.Table.from_pylist(EVENTS).slice(0, 0), io.BytesIO(), io.BytesIO()
    pa.ipc.new_file(arrow, table.schema).close()
    pq.write_table(table, parquet)
    empty = {
        ".jsonl": b"",
        ".jsonl.gz": gzip.compress(b""),
        ".csv": b"user_id,op,day",
        ".arrow": arrow.getvalue(),
        ".parquet": parquet.getvalue(),
    }
    for suffix, data in empty.items():
        path = written(tmp_path, "events" + suffix, data)
        assert user_ids(list(read_file(path, rules))) == []


def test_a_byte_order_mark_is_skipped(tmp_path: Path, rules: EventRules) -> None:
    for suffix in (".jsonl", ".csv"):
        data = b"\xef\xbb\xbf" + content(suffix, EVENTS)
        path = written(tmp_path, "events" + suffix, data)
        assert len(user_ids(list(read_file(path, rules, 10)))) == 25


def test_a_file_longer_than_a_block_is_read_whole(tmp_path: Path, rules: EventRules) -> None:
    events = [{**EVENTS[0], "metadata": {"note": "x" * 900}}] * 10_000
    for suffix in (".jsonl", ".jsonl.gz"):
        path = written(tmp_path, "events" + suffix, content(suffix, events))
        chunks = list(read_file(path, rules))
        assert len(user_ids(chunks)) == 10_000
        assert len(chunks) > 2


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".csv.zst"])
def test_of_a_file_cut_short_the_readable_part_comes_first(
    suffix: str, tmp_path: Path, rules: EventRules
) -> None:
    names = [hashlib.sha256(bytes([i % 256, i // 256])).hexdigest() for i in range(10_000)]
    events = [{"user_id": name, "op": "+", "day": DAY} for name in names]
    data = content(suffix, events)
    path = written(tmp_path, "events" + suffix, data[: len(data) // 2])
    chunks = []
    with pytest.raises(FileUnreadableError, match=r"cut short \(after [\d,]+ readable lines\)"):  # noqa: PT012
        for chunk in read_file(path, rules, 100):
            chunks.append(chunk)  # noqa: PERF402
    received = user_ids(chunks)
    assert received == [event["user_id"] for event in events[: len(received)]]
    assert 0 < len(received) < len(events)
    assert not any(chunk.refused_lines for chunk in chunks)


@pytest.mark.parametrize("suffix", FILE_SUFFIXES)
def test_a_file_that_is_something_else_is_unreadable_or_refused_line_by_line(
    suffix: str, tmp_path: Path, rules: EventRules
) -> None:
    path = written(tmp_path, "events" + suffix, b"nothing of the kind")
    if suffix in {".jsonl", ".ndjson"}:
        assert [len(chunk.refused_lines) for chunk in read_file(path, rules)] == [1]
        return
    with pytest.raises(FileUnreadableError, match="it is not valid"):
        list(read_file(path, rules))


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_a_table_cut_short_is_unreadable(suffix: str, tmp_path: Path, rules: EventRules) -> None:
    data = content(suffix, EVENTS)
    with pytest.raises(FileUnreadableError, match="damaged, cut short or something else"):
        list(read_file(written(tmp_path, "events" + suffix, data[:-20]), rules))


def test_an_arrow_stream_cut_short_gives_its_beginning_first(
    tmp_path: Path, rules: EventRules
) -> None:
    data = as_arrow(EVENTS, stream=True)
    path = written(tmp_path, "events.arrow", data[: len(data) - 200])
    chunks = []
    with pytest.raises(FileUnreadableError, match="after 20 readable lines"):  # noqa: PT012
        for chunk in read_file(path, rules):
            chunks.append(chunk)  # noqa: PERF402
    assert len(user_ids(chunks)) == 20


@pytest.mark.parametrize("name", ["events", "events.txt", "events.gz", "x.parquet.gz", "jsonl"])
def test_an_unknown_ending_is_refused_with_the_known_ones(
    name: str, tmp_path: Path, rules: EventRules
) -> None:
    with pytest.raises(FileUnreadableError, match=r"none of \.jsonl, \.ndjson, \.csv"):
        list(read_file(written(tmp_path, name, b""), rules))


def test_a_missing_file_and_a_folder_are_unreadable(tmp_path: Path, rules: EventRules) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(FileUnreadableError, match=r"missing.csv: No such file or directory"):
        file_size(tmp_path / "missing.csv")
    with pytest.raises(FileUnreadableError, match=r"missing.csv: No such file or directory"):
        list(read_file(tmp_path / "missing.csv", rules))
    with pytest.raises(FileUnreadableError, match=r"folder.csv: Is a directory"):
        list(read_file(tmp_path / "folder.csv", rules))


def test_an_error_of_the_reader_of_chunks_is_not_mistaken_for_the_files(
    tmp_path: Path, rules: EventRules
) -> None:
    path = written(tmp_path, "events.jsonl", as_jsonl(EVENTS))
    chunks = read_file(path, rules)
    next(chunks)
    with pytest.raises(TimeoutError):
        chunks.throw(TimeoutError)  # type: ignore[attr-defined]
