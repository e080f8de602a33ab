"""The ledger in files, from which its hashes are computed anew."""

import csv
import hashlib
import io
import json
from datetime import UTC, datetime

from dpdau.model.ledger import GENESIS_HASH, LedgerKind, LedgerRow, chained
from dpdau.model.ledger_files import LedgerFormat, ledger_file
from dpdau.model.releases import Metric


def rows() -> list[LedgerRow]:
    first = chained(
        LedgerRow(
            sequence=1,
            kind=LedgerKind.RELEASE,
            metric=Metric.DAU,
            period="2025-10",
            subject="dau-1d-2025-10-01",
            recorded_at=datetime(2025, 10, 2, 3, 4, 5, tzinfo=UTC),
            charge={"scale": 2.5, "kind": "laplace"},
            body={"z": "ε, δ", "a": None},
            previous_hash=GENESIS_HASH,
        )
    )
    second = chained(
        LedgerRow(
            sequence=2,
            kind=LedgerKind.CAP,
            metric=Metric.MAU,
            period="2025-10",
            subject="a cap",
            recorded_at=datetime(2025, 10, 3, tzinfo=UTC),
            charge=None,
            body={},
            previous_hash=first.hash,
        )
    )
    return [first, second]


def test_a_line_of_json_is_the_hashed_content_with_the_two_hashes_behind_it() -> None:
    lines = ledger_file(rows(), LedgerFormat.JSONL).decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == len(rows())
    for line, row in zip(lines, rows(), strict=True):
        links = f',"previous_hash":"{row.previous_hash}","hash":"{row.hash}"}}'
        assert line.endswith(links)
        content = line.removesuffix(links) + "}"
        assert hashlib.sha256((row.previous_hash + content).encode()).hexdigest() == row.hash
        assert json.loads(line)["sequence"] == row.sequence


def test_a_line_of_csv_has_every_field_and_what_is_hashed_of_it_to_the_letter() -> None:
    text = ledger_file(rows(), LedgerFormat.CSV).decode()
    assert text.count("\r\n") == text.count("\n") == 3
    header, first, second = csv.reader(io.StringIO(text, newline=""))
    assert header == [
        *("sequence", "kind", "metric", "period", "subject", "recorded_at"),
        *("charge", "body", "previous_hash", "hash"),
    ]
    assert first == [
        *("1", "release", "dau", "2025-10", "dau-1d-2025-10-01", "2025-10-02T03:04:05Z"),
        *('{"kind":"laplace","scale":2.5}', '{"a":null,"z":"ε, δ"}'),
        *(GENESIS_HASH, rows()[0].hash),
    ]
    assert second == [
        *("2", "cap", "mau", "2025-10", "a cap", "2025-10-03T00:00:00Z"),
        *("", "{}", rows()[0].hash, rows()[1].hash),
    ]


def test_a_ledger_without_rows_is_an_empty_file_or_a_header() -> None:
    assert ledger_file([], LedgerFormat.JSONL) == b""
    assert ledger_file([], LedgerFormat.CSV).startswith(b"sequence,kind,")


def test_each_form_has_the_media_type_that_is_registered_for_it() -> None:
    assert LedgerFormat("jsonl").media_type == "application/x-ndjson"
    assert LedgerFormat("csv").media_type == "text/csv"
