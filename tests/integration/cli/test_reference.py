"""The examples of docs/cli.md, each run as it stands there on a store that has been in use."""

import shlex
import shutil
from pathlib import Path

import pytest

from support.builders import EXACT
from support.command_line import Run
from support.documents import script_of

REFERENCE = Path(__file__).parents[3] / "docs" / "cli.md"
EXAMPLES = list(filter(None, script_of(REFERENCE.read_text(encoding="utf-8")).splitlines()))
AN_ERASURE = "9f2c41d07be85a3611c0d4e2a7f3b685"
A_BACKUP = "data/backups/dpdau-20251120T020000Z.sqlite3"
LAST_DAY = "2026-11-26"


def given(run: Run) -> str:
    """What the examples take for granted; gives the id of an erasure."""
    for name in ("events.jsonl", "tuesday.csv.gz"):
        run("generate-synthetic", "--days", "90", "--end", LAST_DAY, "--out", name)
    shutil.copy("events.jsonl", "monday.jsonl")
    assert run("ingest", "--from", "events.jsonl").code == 0
    published = run("publish", "--from", "2026-11-01", "--through", "2026-11-19", "--json")
    assert published.code == 0, published.err
    for month, end in {"october": "2026-10-31", "november": LAST_DAY, "december": LAST_DAY}.items():
        assert run("sketch", "export", end, "--out", f"{month}.theta").code == 0
    Path("other").mkdir()
    shutil.move(run("backup", "--json").answer["path"], A_BACKUP)
    return str(run("erase", "user-000001", "--json").answer["erasure_id"])


def test_the_examples_are_found() -> None:
    assert "dpdau verify" in EXAMPLES


def test_every_example_does_what_it_says(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in EXACT:
        monkeypatch.delenv(name.upper())
    monkeypatch.setenv("RETENTION_DAYS", "36500")
    monkeypatch.setenv("LATENESS_HOURS", "0")
    erasure = given(run)

    for example in EXAMPLES:
        command, _, file = example.partition(" > ")
        command = command.replace(AN_ERASURE, erasure).replace("/mnt/other", "other")
        _, *arguments = shlex.split(command)
        if arguments[0] in {"serve", "consume", "migrate-store", "spark"}:
            continue
        result = run(*arguments)
        if file:
            Path(file).write_text(result.out, encoding="utf-8")
        if arguments[0] == "ledger-acknowledge":
            assert "nothing is lost" in result.err
        else:
            assert result.code == 0, f"{example}: {result.err}"
