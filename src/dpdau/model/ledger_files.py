"""The ledger in files, from which everything can be recomputed without this program.

What is hashed stands in them to the letter, because no two programs write all numbers alike.
"""

import csv
import io
from collections.abc import Iterable
from enum import StrEnum

import msgspec

from dpdau.model.ledger import LedgerRow

__all__ = ["LedgerFormat", "ledger_file"]


class LedgerFormat(StrEnum):
    """The forms of an exported ledger."""

    JSONL = "jsonl"
    CSV = "csv"

    @property
    def media_type(self) -> str:
        """What HTTP calls it."""
        return "text/csv" if self is LedgerFormat.CSV else "application/x-ndjson"


def ledger_file(rows: Iterable[LedgerRow], form: LedgerFormat) -> bytes:
    """Rows as a file.

    JSON Lines: the content of a row as it is hashed, with `previous_hash` and `hash` behind it.
    CSV (RFC 4180): one column a field, under a header line; `charge`, if there is one, and `body`
    as they are hashed.

    Args:
        rows: oldest first.
        form: JSON Lines or CSV.
    """
    if form is LedgerFormat.JSONL:
        return b"".join(map(_line, rows))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(LedgerRow.__struct_fields__)
    writer.writerows(map(_cells, rows))
    return text.getvalue().encode()


def _line(row: LedgerRow) -> bytes:
    links = msgspec.json.encode({"previous_hash": row.previous_hash, "hash": row.hash})
    return row.canonical_content()[:-1] + b"," + links[1:] + b"\n"


def _cells(row: LedgerRow) -> list[object]:
    fields = msgspec.to_builtins(row)
    return [
        msgspec.json.encode(value, order="sorted").decode() if isinstance(value, dict) else value
        for value in fields.values()
    ]
