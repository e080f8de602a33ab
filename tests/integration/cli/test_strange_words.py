"""Words in places where nobody would write them: an exit code and a sentence, never a trace."""

import json
from pathlib import Path

import pytest

from support.command_line import Run

WORDS = [
    *("", "-1", "9" * 400, "1e999", "\udcff", "[bold]\0", "9999-12-31", "x" * 5_000),
    "\N{ARABIC-INDIC DIGIT ZERO}" * 4,
]
COMMANDS = [
    ["dau", "WORD"],
    ["mau", "2025-10-07", "--window", "WORD"],
    ["series", "WORD", "--start", "2025-10-07", "--end", "2025-10-07"],
    ["series", "dau", "--start", "WORD", "--end", "2025-10-07"],
    ["explain", "WORD"],
    ["publish", "--through", "WORD"],
    ["revise", "dau", "WORD"],
    ["erase", "WORD"],
    ["erase", "ada", "--request-key", "WORD"],
    ["erase", "--from", "WORD"],
    ["erasure", "WORD"],
    ["budget", "WORD"],
    ["budget", "dau", "--day", "WORD"],
    ["plan", "--users", "WORD"],
    ["plan", "--users", "100", "--target-error", "WORD"],
    ["plan", "--users", "100", "--epsilon", "WORD"],
    ["plan", "--users", "100", "--period", "WORD"],
    ["plan", "--users", "100", "--flips", "WORD"],
    ["plan", "--show", "--metric", "dau", "--period", "WORD"],
    ["plan", "--check", "WORD"],
    ["ledger", "--period", "WORD"],
    ["ingest", "--from", "WORD"],
    ["sketch", "import", "WORD"],
    ["sketch", "export", "WORD", "--out", "out.theta"],
    ["verify", "--url", "WORD"],
    ["verify", "--url", "http://127.0.0.1:9", "--key", "WORD"],
    ["doctor", "--data-dir", "WORD"],
    ["restore", "WORD"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_strange_word_is_taken_or_refused_in_words(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for word in WORDS:
        arguments = [word if part == "WORD" else part for part in command]
        result = run(*arguments)
        assert 0 <= result.code < 20, (arguments, result)
        assert "Traceback" not in result.out + result.err
        if result.code:
            assert result.err.strip(), arguments


@pytest.mark.parametrize(
    "content",
    [
        b"\xff",
        b"[" * 100_000,
        b'{"days": 1e400}',
        json.dumps({"days": 10**400}).encode(),
        b"",
    ],
)
@pytest.mark.parametrize(
    "command", [["plan", "--check"], ["sketch", "import"], ["erase", "--from"]], ids=" ".join
)
def test_strange_bytes_in_a_file_are_taken_or_refused_in_words(
    run: Run, tmp_path: Path, command: list[str], content: bytes
) -> None:
    file = tmp_path / "strange"
    file.write_bytes(content)
    result = run(*command, str(file))
    assert 0 <= result.code < 20
    assert "Traceback" not in result.out + result.err
