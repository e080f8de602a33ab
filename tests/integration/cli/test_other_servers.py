"""Servers that are not dpdau: whatever they answer, a clear error and never a trace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dpdau.errors import DpdauError, ServerUnreachableError
from support.command_line import Run
from support.other_servers import OtherServer, other_server

DAY = "2025-10-07"
COMMANDS = [
    ["dau", DAY],
    ["mau", DAY],
    ["series", "dau", "--start", DAY, "--end", DAY],
    ["series", "dau", "--start", DAY, "--end", DAY, "--csv"],
    ["explain", "dau-1d-2025-10-07"],
    ["publish"],
    ["revise", "dau", DAY],
    ["erase", "ada"],
    ["erasure", "one"],
    ["erasure", "one", "--receipt"],
    ["rekey", "--status"],
    ["budget"],
    ["budget", "dau"],
    ["plan", "--users", "100"],
    ["verify"],
    ["ledger"],
    ["ingest", "--from", "events.csv"],
]
ANSWERS = [
    (200, b"{}"),
    (200, b'{"releases": 3, "errors": [{"index": 9, "reason": "x"}], "accepted": 1}'),
    (200, b"[" * 100_000),
    (200, b"\xff"),
    (301, b""),
    (404, b'{"title": 1, "detail": [], "type": {}}'),
]


@pytest.fixture(scope="module")
def other() -> Iterator[OtherServer]:
    with other_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("events.csv").write_text(f"user_id,op,day\nada,+,{DAY}\n")


@pytest.mark.parametrize(("status", "body"), ANSWERS)
def test_an_answer_that_dpdau_would_not_give_is_no_fault_of_the_command(
    run: Run, other: OtherServer, status: int, body: bytes
) -> None:
    other.status, other.body = status, body
    expected = {ServerUnreachableError.exit_code} if status < 400 else {DpdauError.exit_code, 6}
    for command in COMMANDS:
        result = run(*command, "--url", other.url)
        assert result.code in expected, (command, result)
        assert result.err.startswith("Error: ")
        assert "Traceback" not in result.err
