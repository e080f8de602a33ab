"""Bodies made to cost the service more than they cost their sender."""

import gzip
import io
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest
import zstandard

from support.service import Service, assert_problem

MEBIBYTE = 1 << 20
LIMIT = 4 * MEBIBYTE
BOMB = b"\0" * (256 * MEBIBYTE)
DEPTH = 200_000
WRITERS = ["/event", "/erasure", "/publish", "/revise", "/ledger/acknowledge", "/budget/dau/cap"]


@contextmanager
def within(mebibytes: int) -> Iterator[None]:
    """Fail if Python's memory grew by more than this at any moment."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < mebibytes * MEBIBYTE
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    zstd = zstandard.ZstdCompressor(level=1)
    return {
        "gzip": gzip.compress(BOMB, 9),
        "zstd": zstd.compress(BOMB),
        # Many small members in place of a large one.
        "x-gzip": gzip.compress(b"\0" * MEBIBYTE, 9) * 256,
    }


class TestCompressed:
    @pytest.mark.parametrize("encoding", ["gzip", "zstd", "x-gzip"])
    @pytest.mark.parametrize("path", ["/event", "/erasure"])
    def test_a_bomb_is_put_down_at_the_limit(
        self,
        open_service: Callable[..., Service],
        bombs: dict[str, bytes],
        encoding: str,
        path: str,
    ) -> None:
        service = open_service(max_body_bytes=LIMIT)
        headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
        with within(48):
            answer = service.client.post(path, content=bombs[encoding], headers=headers)
        assert_problem(answer, 413, "batch-too-large")

    @pytest.mark.parametrize("encoding", ["gzip, gzip", "deflate", "br", "gzip;q=1", "compress"])
    def test_nothing_else_and_nothing_twice_is_undone(
        self, service: Service, encoding: str
    ) -> None:
        body = zlib.compress(gzip.compress(b"{}"))
        answer = service.client.post("/event", content=body, headers={"Content-Encoding": encoding})
        assert_problem(answer, 415, "unsupported-media-type")

    def test_compression_inside_of_arrow_is_refused(self, service: Service) -> None:
        table = pa.table({"user_id": ["ada"], "op": ["+"], "day": ["2025-11-19"]})
        stream = io.BytesIO()
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_stream(stream, table.schema, options=options) as writer:
            writer.write_table(table)
        headers = {"Content-Type": "application/vnd.apache.arrow.stream"}
        answer = service.client.post("/event", content=stream.getvalue(), headers=headers)
        assert_problem(answer, 400, "malformed-body")

    def test_batches_of_arrow_that_share_long_texts_are_refused(self, service: Service) -> None:
        days = pa.DictionaryArray.from_arrays(pa.array([0]), pa.array(["x" * MEBIBYTE]))
        batch = pa.record_batch({"user_id": pa.array(["ann"]), "op": pa.array(["+"]), "day": days})
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            for _ in range(1_000):
                writer.write_batch(batch)
        headers = {"Content-Type": "application/vnd.apache.arrow.stream"}
        with within(24):
            answer = service.client.post("/event", content=sink.getvalue(), headers=headers)
        assert "share texts" in assert_problem(answer, 400, "malformed-body")["detail"]


class TestDeep:
    @pytest.mark.parametrize("path", WRITERS)
    @pytest.mark.parametrize(
        "body",
        [
            b"[" * DEPTH,
            b"[" * DEPTH + b"]" * DEPTH,
            b'{"a":' * DEPTH + b"1" + b"}" * DEPTH,
            b'{"events":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
            b'{"events":[{"user_id":"ada","op":"+","day":"2025-11-19","metadata":{"a":'
            + b"[" * DEPTH
            + b"]" * DEPTH
            + b"}}]}",
            b'{"user_id":' + b"[" * DEPTH + b"]" * DEPTH + b"}",
        ],
        ids=["opened", "lists", "objects", "events", "metadata", "user"],
    )
    def test_nesting_without_end_is_a_bad_request(
        self, service: Service, path: str, body: bytes
    ) -> None:
        answer = service.client.post(path, content=body)
        assert answer.status_code in {400, 422}, answer.text[:200]
        assert answer.json()["type"] != "internal"
        assert len(answer.content) < 10_000

    @pytest.mark.parametrize("media_type", ["application/x-ndjson", "application/jsonl"])
    def test_so_it_is_in_one_line_of_many(self, service: Service, media_type: str) -> None:
        good = b'{"user_id":"ada","op":"+","day":"2025-11-19"}\n'
        body = good + b"[" * DEPTH + b"\n" + good
        headers = {"Content-Type": media_type}
        answer = service.client.post("/event", content=body, headers=headers)
        assert answer.status_code in {400, 422}

    @pytest.mark.parametrize("number", [b"1" * 100_000, b"1e999999999", b"-0." + b"0" * 100_000])
    def test_numbers_without_end_are_bad_too(self, service: Service, number: bytes) -> None:
        event = b'{"events":[{"user_id":"ada","op":"+","ts":' + number + b"}]}"
        answer = service.client.post("/event", content=event)
        assert answer.status_code in {400, 422}


class TestText:
    @pytest.mark.parametrize("path", WRITERS)
    @pytest.mark.parametrize(
        "body", [b"\xff\xfe", b'{"user_id": "\xff"}', b'{"\xc0\xaf": 1}', b"\0", b"\xef\xbb\xbf{}"]
    )
    def test_what_is_no_text_is_a_bad_request(
        self, service: Service, path: str, body: bytes
    ) -> None:
        answer = service.client.post(path, content=body)
        assert answer.status_code in {400, 422}
        assert answer.json()["type"] != "internal"

    @pytest.mark.parametrize(
        "text", ["\\ud800", "\\u0000", "\\udfff\\ud800", "%00", "../../etc/passwd", "'; DROP TABLE"]
    )
    def test_strange_ids_are_ids_or_refused_and_never_a_fault(
        self, service: Service, text: str
    ) -> None:
        body = f'{{"events":[{{"user_id":"{text}","op":"+","day":"2025-11-19"}}]}}'.encode()
        sent = service.client.post("/event", content=body)
        erased = service.client.post("/erasure", content=f'{{"user_id":"{text}"}}'.encode())
        assert sent.status_code in {200, 400, 422}
        assert erased.status_code == sent.status_code

    @pytest.mark.parametrize("path", ["/dau/%ff", "/erasure/%00", "/releases/%ff%fe", "/%2e%2e/a"])
    def test_paths_that_are_no_text_are_a_problem(self, service: Service, path: str) -> None:
        answer = service.client.get(path)
        assert answer.status_code in {404, 422}
        assert answer.json()["type"] != "internal"

    def test_a_line_of_csv_without_end_is_bounded(
        self, open_service: Callable[..., Service]
    ) -> None:
        service = open_service(max_body_bytes=LIMIT)
        body = b'user_id,op,day\n"' + b"a" * (3 * MEBIBYTE)
        headers = {"Content-Type": "text/csv"}
        answer = service.client.post("/event", content=body, headers=headers)
        assert answer.status_code in {400, 422}
        assert len(answer.content) < 10_000


class TestMany:
    def test_as_many_reasons_as_a_batch_may_have_events_are_bounded(
        self, open_service: Callable[..., Service]
    ) -> None:
        service = open_service(max_batch_events=1_000)
        many: list[dict[str, Any]] = [{}] * 1_001
        answer = service.client.post("/event", content=json.dumps({"events": many}).encode())
        assert_problem(answer, 413, "batch-too-large")
