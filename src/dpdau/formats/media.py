"""Which decoder belongs to which media type."""

from collections.abc import Callable, Mapping

from dpdau.errors import UnsupportedMediaTypeError
from dpdau.formats.csv_events import decode_csv
from dpdau.formats.json_events import decode_json, decode_ndjson
from dpdau.formats.rules import Decoded, EventRules

__all__ = ["MEDIA_TYPES", "decode_body"]


def _decode_arrow(body: bytes, rules: EventRules) -> Decoded:
    from dpdau.formats.arrow_events import decode_arrow  # noqa: PLC0415 - loads pyarrow

    return decode_arrow(body, rules)


_DECODERS: Mapping[str, Callable[[bytes, EventRules], Decoded]] = {
    "application/json": decode_json,
    "application/x-ndjson": decode_ndjson,
    "application/jsonl": decode_ndjson,
    "text/csv": decode_csv,
    "application/vnd.apache.arrow.stream": _decode_arrow,
}

MEDIA_TYPES = tuple(_DECODERS)


def decode_body(content_type: str | None, body: bytes, rules: EventRules) -> Decoded:
    """Decode a body by its media type.

    Args:
        content_type: the value of Content-Type; parameters such as a charset are ignored, since
            every text format is UTF-8 here. None means application/json.
        body: the bytes, with the content encoding undone.
        rules: what is accepted.

    Raises:
        UnsupportedMediaTypeError: for a type that is not in `MEDIA_TYPES`.
        MalformedBodyError: if the body is not in that format.
        BatchTooLargeError: if there are more events than the rules allow.
    """
    media_type = (content_type or "application/json").partition(";")[0].strip().lower()
    if media_type not in _DECODERS:
        raise UnsupportedMediaTypeError("Content-Type", media_type, MEDIA_TYPES)
    return _DECODERS[media_type](body, rules)
