"""From the bytes of a body or a file to columns of events, and reasons to refuse the others."""

from dpdau.formats.csv_events import decode_csv
from dpdau.formats.encodings import decompress
from dpdau.formats.files import FILE_SUFFIXES, FileChunk, RefusedLine, file_size, read_file
from dpdau.formats.json_events import decode_json, decode_ndjson
from dpdau.formats.media import MEDIA_TYPES, decode_body
from dpdau.formats.rules import Decoded, EventRules, require_all

__all__ = [
    "FILE_SUFFIXES",
    "MEDIA_TYPES",
    "Decoded",
    "EventRules",
    "FileChunk",
    "RefusedLine",
    "decode_body",
    "decode_csv",
    "decode_json",
    "decode_ndjson",
    "decompress",
    "file_size",
    "read_file",
    "require_all",
]
