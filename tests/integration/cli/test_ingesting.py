import gzip
import json
import stat
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from support.command_line import Run


def rows(day: date) -> list[dict[str, str]]:
    return [
        {"user_id": "ada", "op": "+", "day": str(day)},
        {"user_id": "bob", "op": "+", "day": str(day)},
        {"user_id": "bob", "op": "-", "day": str(day)},
        {"user_id": "eve", "op": "+", "day": str(day)},
    ]


def as_json_lines(events: list[dict[str, str]]) -> bytes:
    return "".join(json.dumps(event) + "\n" for event in events).encode()


def as_csv(events: list[dict[str, str]]) -> bytes:
    header = "user_id,op,day,metadata.source\n"
    return (header + "".join(f"{','.join(each.values())},web\n" for each in events)).encode()


def write(file: Path, events: list[dict[str, str]]) -> None:
    """Write events in the form that the file's name tells."""
    table = pa.Table.from_pylist(events)
    name = file.name
    if name.endswith(".parquet"):
        pq.write_table(table, file)
    elif name.endswith(".arrow"):
        with pa.ipc.new_file(str(file), table.schema) as writer:
            writer.write_table(table)
    else:
        content = as_csv(events) if ".csv" in name else as_json_lines(events)
        content = gzip.compress(content) if name.endswith(".gz") else content
        content = zstandard.compress(content) if name.endswith(".zst") else content
        file.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    ["e.jsonl", "e.ndjson", "e.csv", "e.parquet", "e.arrow", "e.jsonl.gz", "e.csv.zst"],
)
def test_every_format_is_ingested(ask: Run, tmp_path: Path, day: date, name: str) -> None:
    write(tmp_path / name, rows(day))
    summary = ask("ingest", "--from", name, "--json").answer

    assert (summary["accepted"], summary["rejected"]) == (4, 0)
    assert summary["files"] == [{"file": name, "accepted": 4, "rejected": 0, "rejected_file": None}]
    assert not Path(f"{name}.rejected.jsonl").exists()
    assert ask("dau", str(day), "--json").answer["estimate"] == 2


def test_several_files_are_ingested_in_order(ask: Run, tmp_path: Path, day: date) -> None:
    write(tmp_path / "first.jsonl", rows(day))
    write(tmp_path / "second.csv", [{"user_id": "eve", "op": "-", "day": str(day)}])
    result = ask("ingest", "--from", "first.jsonl", "--from", "second.csv")

    assert result.code == 0
    assert "Ingested first.jsonl, second.csv" in result.out
    assert "5 events" in result.out
    assert ask("dau", str(day), "--json").answer["estimate"] == 1


def test_refused_lines_are_kept_with_line_number_and_reason_for_the_owner_only(
    ask: Run, tmp_path: Path, day: date
) -> None:
    tomorrow_but_one = datetime.now(UTC).date() + timedelta(days=2)
    lines = [
        json.dumps({"user_id": "ada", "op": "+", "day": str(day)}),
        "",
        "{broken",
        json.dumps({"user_id": "", "op": "+", "day": str(day)}),
        json.dumps({"user_id": "bob", "op": "+", "day": str(tomorrow_but_one)}),
        json.dumps({"user_id": "eve", "op": "+", "day": str(day)}),
    ]
    (tmp_path / "e.jsonl").write_text("\n".join(lines))
    result = ask("ingest", "--from", "e.jsonl")

    assert result.code == 0
    assert "rejected" in result.out
    kept = Path("e.jsonl.rejected.jsonl")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    rejected = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [each["line"] for each in rejected] == [3, 4, 5]
    assert [each["text"] for each in rejected] == lines[2:5]
    assert [each["reason"].split()[0] for each in rejected] == ["is", "user_id", "day"]
    assert ask("dau", str(day), "--json").answer["estimate"] == 2


def test_an_earlier_file_of_rejected_lines_is_replaced(ask: Run, tmp_path: Path, day: date) -> None:
    stale = Path("e.jsonl.rejected.jsonl")
    stale.write_text("old\n")
    write(tmp_path / "e.jsonl", rows(day))

    assert ask("ingest", "--from", "e.jsonl").code == 0
    assert not stale.exists()


def test_the_server_decides_what_a_minus_without_scope_means(
    run: Run, tmp_path: Path, day: date, serve: Callable[..., str]
) -> None:
    url = serve(DELETE_SCOPE="user")
    before = day - timedelta(days=1)
    write(tmp_path / "e.jsonl", [{"user_id": "bob", "op": "+", "day": str(before)}])
    write(tmp_path / "f.csv", [{"user_id": "bob", "op": "-", "day": str(day)}])
    run("ingest", "--from", "e.jsonl", "--from", "f.csv", "--url", url)

    assert run("dau", str(before), "--json").answer["estimate"] == 0


def test_a_batch_that_is_too_large_for_the_server_is_sent_in_parts(
    run: Run, tmp_path: Path, day: date, serve: Callable[..., str]
) -> None:
    url = serve(MAX_BATCH_EVENTS="3")
    bad = {"user_id": "joe", "op": "+", "day": "1999-01-01"}
    write(tmp_path / "e.jsonl", [*rows(day), bad, *rows(day), bad])
    summary = run("ingest", "--from", "e.jsonl", "--url", url, "--json").answer

    assert (summary["accepted"], summary["rejected"]) == (8, 2)
    rejected = Path("e.jsonl.rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in rejected] == [5, 10]


def test_an_event_that_alone_is_too_large_for_the_server_is_an_error(
    run: Run, tmp_path: Path, serve: Callable[..., str]
) -> None:
    url = serve(MAX_BODY_BYTES="1024")
    time = f"2025-01-01T00:00:00.{'0' * 2000}Z"
    (tmp_path / "e.jsonl").write_text(json.dumps({"user_id": "ada", "op": "+", "ts": time}))
    result = run("ingest", "--from", "e.jsonl", "--url", url)

    assert result.code == 3
    assert "MAX_BODY_BYTES" in result.err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.jsonl", None, "No such file"),
        ("events.txt", b"", "the ending of its name"),
        ("events.parquet", b"PAR1", "not valid Parquet"),
        ("events.jsonl.gz", b"plain text", "not valid gzip"),
        ("events.csv", b"name,day\n", "column"),
    ],
)
def test_an_unreadable_file_is_named_and_stops_the_command(
    ask: Run, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    result = ask("ingest", "--from", name)

    assert result.code == 3
    assert f"Cannot read {name}" in result.err
    assert said in result.err


def test_a_missing_file_is_noticed_before_any_other_is_ingested(
    ask: Run, tmp_path: Path, day: date
) -> None:
    write(tmp_path / "e.jsonl", rows(day))

    assert ask("ingest", "--from", "e.jsonl", "--from", "missing.jsonl").code == 3
    assert ask("dau", str(day), "--json").answer["estimate"] == 0


def test_a_file_without_a_single_event_is_an_error(ask: Run, tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text("hello\nworld\n")
    result = ask("ingest", "--from", "e.jsonl")

    assert result.code == 3
    assert "none of its lines is an event, and e.jsonl.rejected.jsonl says why" in result.err
    assert "2 lines" in result.out


def test_rejected_lines_that_cannot_be_kept_are_an_error(ask: Run, tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text("hello\n")
    (tmp_path / "e.jsonl.rejected.jsonl").mkdir()
    result = ask("ingest", "--from", "e.jsonl")

    assert result.code == 3
    assert "e.jsonl.rejected.jsonl can be written" in result.err
