"""Servers that are not dpdau: whatever they answer, a clear error and never a trace."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from dpdau.errors import DpdauError, ServerUnreachableError
from support.command_line import Run

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


class Answering(BaseHTTPRequestHandler):
    status: ClassVar[int]
    body: ClassVar[bytes]

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_GET  # noqa: N815 - as the base class has it

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("events.csv").write_text(f"user_id,op,day\nada,+,{DAY}\n")


@pytest.mark.parametrize(("status", "body"), ANSWERS)
def test_an_answer_that_dpdau_would_not_give_is_no_fault_of_the_command(
    run: Run, url: str, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes
) -> None:
    monkeypatch.setattr(Answering, "status", status, raising=False)
    monkeypatch.setattr(Answering, "body", body, raising=False)
    expected = {ServerUnreachableError.exit_code} if status < 400 else {DpdauError.exit_code, 6}
    for command in COMMANDS:
        result = run(*command, "--url", url)
        assert result.code in expected, (command, result)
        assert result.err.startswith("Error: ")
        assert "Traceback" not in result.err
