import io

import pyarrow as pa
import pytest

from dpdau.formats.ipc import has_compressed_buffers, states_compression


def stream(compression: str | None, *, dictionary: bool) -> bytes:
    ids = pa.array(["ann", "bob"] * 50)
    table = pa.table({"user_id": ids.dictionary_encode() if dictionary else ids})
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize("compression", [None, "zstd", "lz4"])
def test_compression_is_found_in_batches_and_dictionaries(compression: str | None) -> None:
    for dictionary in (False, True):
        found = has_compressed_buffers(stream(compression, dictionary=dictionary))
        assert found is (compression is not None)


EMPTY_TABLE = bytes([8, 0, 0, 0]) + bytes([4, 0, 4, 0]) + bytes([4, 0, 0, 0])


@pytest.mark.parametrize("metadata", [b"", b"\xff" * 40, EMPTY_TABLE])
def test_damaged_metadata_is_noticed(metadata: bytes) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        states_compression("record batch", metadata)
