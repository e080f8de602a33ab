import csv
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from dpdau.bootstrap import build
from dpdau.config import load_settings
from support.command_line import Run

ROOT = Path(__file__).parents[3]


def test_synthetic_events_are_reproducible_and_can_be_ingested(run: Run, day: date) -> None:
    options = ["--days", "5", "--daily-users", "40", "--end", str(day)]
    for name in ("a.jsonl", "b.jsonl"):
        assert run("generate-synthetic", *options, "--out", name).code == 0
    other = run("generate-synthetic", *options, "--seed", "8", "--out", "c.jsonl", "--json").answer

    assert Path("a.jsonl").read_bytes() == Path("b.jsonl").read_bytes()
    assert Path("a.jsonl").read_bytes() != Path("c.jsonl").read_bytes()
    assert other["events"] == len(Path("c.jsonl").read_text().splitlines())
    summary = run("ingest", "--from", "a.jsonl", "--json").answer
    assert summary["rejected"] == 0


def test_synthetic_events_end_yesterday_by_default(run: Run) -> None:
    summary = run("generate-synthetic", "--out", "a.jsonl", "--days", "2", "--json").answer

    assert summary["end"] in {
        str(datetime.now(UTC).date() - timedelta(days=back)) for back in (1, 2)
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["--days", "0"],
        ["--days", "9999999"],
        ["--daily-users", "0"],
        ["--delete-rate", "1.5"],
        ["--end", "tomorrow"],
        ["--out", "no/such/folder/file"],
    ],
)
def test_unfit_options_of_the_generator_are_named(run: Run, arguments: list[str]) -> None:
    result = run("generate-synthetic", "--out", "a.jsonl", *arguments)

    assert result.code == 3
    assert arguments[0] in result.err


@pytest.mark.parametrize("suffix", [".jsonl", ".csv.gz", ".parquet"])
def test_what_is_simulated_and_ingested_is_the_truth_beside_it(
    run: Run, day: date, suffix: str
) -> None:
    options = ["--users", "60", "--p-active", "0.3", "--delete-rate", "0.3", "--days", "40"]
    summary = run("simulate", *options, "--end", str(day), "--out", f"a{suffix}", "--json").answer
    ingested = run("ingest", "--from", f"a{suffix}", "--json").answer

    assert ingested["accepted"] == summary["events"]
    with Path(summary["truth"]).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    with build(load_settings()) as application, application.store.read() as reader:
        for row in rows:
            last = date.fromisoformat(row["day"]).toordinal()
            assert len(reader.members(last, last)) == int(row["dau_final"])
            assert len(reader.members(last - 29, last)) == int(row["mau_final"])


def test_settings_are_the_defaults_of_a_simulation(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--days", "3", "--end", "2025-06-30", "--out"]
    monkeypatch.setenv("N_USERS", "30")
    monkeypatch.setenv("P_ACTIVE", "0.5")
    monkeypatch.setenv("DELETE_RATE", "0")
    monkeypatch.setenv("DEFAULT_SEED", "11")
    run("simulate", *options, "a.jsonl")
    named = ["--users", "30", "--p-active", "0.5", "--delete-rate", "0", "--seed", "11"]
    run("simulate", *named, *options, "b.jsonl")

    assert Path("a.jsonl").read_bytes() == Path("b.jsonl").read_bytes() != b""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--users", "0"],
        ["--p-active", "1"],
        ["--delete-rate", "-1"],
        ["--days", "0"],
        ["--seed", "-1"],
        ["--end", "someday"],
        ["--out", "events.txt"],
    ],
)
def test_unfit_options_of_a_simulation_are_named(run: Run, arguments: list[str]) -> None:
    result = run("simulate", "--out", "a.jsonl", *arguments)

    assert result.code == 3
    assert arguments[0] in result.err


def test_the_script_writes_what_the_command_writes(run: Run) -> None:
    options = ["--users", "30", "--days", "3", "--end", "2025-06-30", "--out"]
    run("simulate", *options, "a.jsonl")
    subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(ROOT / "eval" / "simulate.py"), *options, "b.jsonl"],
        check=True,
        capture_output=True,
    )

    assert Path("a.jsonl").read_bytes() == Path("b.jsonl").read_bytes()
