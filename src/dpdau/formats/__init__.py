"""From the bytes of a body or a file to columns of events and reasons to refuse others."""

from dpdau.formats.json_events import decode_json, decode_ndjson
from dpdau.formats.rules import Decoded, EventRules, require_all

__all__ = ["Decoded", "EventRules", "decode_json", "decode_ndjson", "require_all"]
