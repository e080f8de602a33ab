import io
import json

import pyarrow as pa
import pytest

from dpdau.errors import UnsupportedMediaTypeError
from dpdau.formats import MEDIA_TYPES, EventRules, decode_body, require_all

EVENT = {"user_id": "ann", "op": "+", "day": "2026-01-31"}


def bodies() -> dict[str, bytes]:
    table = pa.Table.from_pylist([EVENT])
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return {
        "application/json": json.dumps({"events": [EVENT]}).encode(),
        "application/x-ndjson": json.dumps(EVENT).encode(),
        "application/jsonl": json.dumps(EVENT).encode(),
        "text/csv": b"user_id,op,day\nann,+,2026-01-31\n",
        "application/vnd.apache.arrow.stream": stream.getvalue(),
    }


def test_every_supported_media_type_has_its_decoder(rules: EventRules) -> None:
    assert set(bodies()) == set(MEDIA_TYPES)
    for media_type, body in bodies().items():
        assert list(require_all(decode_body(media_type, body, rules)).user_ids) == ["ann"]


@pytest.mark.parametrize("content_type", [None, "", "Application/JSON; charset=utf-8"])
def test_json_is_the_default_and_parameters_are_ignored(
    content_type: str | None, rules: EventRules
) -> None:
    assert decode_body(content_type, bodies()["application/json"], rules).size == 1


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "application/vnd.apache.parquet", ";"],
)
def test_other_media_types_are_not_supported(content_type: str, rules: EventRules) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="supported are application/json"):
        decode_body(content_type, b"{}", rules)
