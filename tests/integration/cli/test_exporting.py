"""The exported ledger, recomputed with the lines that docs/reports.md gives to auditors."""

import csv
import hashlib
import json
import math
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import httpx
import numpy as np
import pytest

from support.command_line import Run

REPORTS = Path(__file__).parents[3] / "docs" / "reports.md"


@pytest.fixture
def published(run: Run, realistic: None, events: Path, day: date) -> dict[str, float]:  # noqa: ARG001
    """A ledger with series, releases by themselves and corrections; gives what it cost."""
    run("ingest", "--from", str(events))
    for arguments in (["dau"], ["mau"], ["mau", "--window", "7"]):
        assert run(arguments[0], str(day), *arguments[1:]).code == 0
    assert run("revise", "dau", str(day)).code == 0
    budgets = run("budget", "--json").answer["periods"]
    return {f"{each['period']} {each['metric']}": each["epsilon_spent"] for each in budgets}


def check(ledger: Path) -> subprocess.CompletedProcess[str]:
    code = re.search(r"```python\n(.*?)```", REPORTS.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    return subprocess.run(  # noqa: S603 - the code in the document
        [sys.executable, "-I", "-c", code[1], str(ledger)],
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_the_store_and_the_server_export_the_same_bytes(
    run: Run, url: str, tmp_path: Path, form: str
) -> None:
    assert run("ledger", "--export", f"a.{form}").out == f"Wrote the ledger to a.{form}.\n"
    assert run("ledger", "--export", f"b.{form}", "--url", url).code == 0
    stored, sent = ((tmp_path / f"{name}.{form}").read_bytes() for name in "ab")
    # The server publishes days that closed meanwhile, which adds rows at the end.
    assert sent.startswith(stored)
    assert stored.count(b"\n") > 10
    assert httpx.get(f"{url}/ledger", params={"format": form}).content.startswith(sent)


@pytest.mark.usefixtures("published")
def test_a_hyphen_stands_for_lines_on_the_standard_output(run: Run, tmp_path: Path) -> None:
    run("ledger", "--export", "ledger.jsonl")
    assert run("ledger", "--export", "-").out == (tmp_path / "ledger.jsonl").read_text()


def test_the_documented_check_finds_an_export_intact_and_its_sums_above_the_budget(
    run: Run, published: dict[str, float], tmp_path: Path
) -> None:
    run("ledger", "--export", "ledger.jsonl")
    result = check(tmp_path / "ledger.jsonl")
    assert result.returncode == 0, result.stderr
    *sums, last = result.stdout.splitlines()
    assert last == f"intact up to {run('verify', '--json').answer['head']}"
    found = dict(re.fullmatch(r"(\S+ \S+) ε ≤ (\S+) at δ = 1e-6", each).groups() for each in sums)  # type: ignore[union-attr]
    assert found.keys() == published.keys()
    for name, spent in published.items():
        assert spent <= float(found[name]) <= 2 * spent


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("damage", ["changed", "removed", "swapped"])
def test_the_documented_check_notices_what_was_done_to_a_row(
    run: Run, tmp_path: Path, damage: str
) -> None:
    run("ledger", "--export", "ledger.jsonl")
    file = tmp_path / "ledger.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    if damage == "changed":
        lines[2] = lines[2].replace('"estimate":', '"estimate":1', 1)
    else:
        taken = lines.pop(1)
        lines[2:2] = [taken] if damage == "swapped" else []
    file.write_text("".join(lines))
    result = check(file)
    assert result.returncode != 0
    assert "AssertionError: row" in result.stderr


@pytest.mark.usefixtures("published")
def test_values_follow_from_the_exported_plan_and_measurements(run: Run, tmp_path: Path) -> None:
    run("ledger", "--export", "ledger.jsonl", "--metric", "mau")
    rows = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    plan = next(row["body"] for row in rows if row["kind"] == "series")
    values = [row["body"] for row in rows if row["body"].get("plan_id") == plan["plan_id"]]
    values = [value for value in values if "measurement" in value]
    assert values
    strategy = np.array(plan["strategy"], dtype=float)[: len(values), : len(values)]
    estimates = np.linalg.solve(strategy, [value["measurement"] for value in values])
    assert estimates == pytest.approx([value["estimate_raw"] for value in values], abs=1e-6)
    rho = plan["sensitivity_squared"] / (2 * plan["sigma"] ** 2)
    assert rho == pytest.approx(plan["rho"])
    assert math.isfinite(rho)


@pytest.mark.usefixtures("published")
def test_a_csv_export_holds_what_is_hashed(run: Run, tmp_path: Path) -> None:
    run("ledger", "--export", "ledger.csv")
    with (tmp_path / "ledger.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["sequence"] == "1"
    previous = "0" * 64
    for row in rows:
        content = (
            f'{{"body":{row["body"]},"charge":{row["charge"] or "null"},"kind":"{row["kind"]}",'
            f'"metric":"{row["metric"]}","period":"{row["period"]}",'
            f'"recorded_at":"{row["recorded_at"]}","sequence":{row["sequence"]},'
            f'"subject":"{row["subject"]}"}}'
        )
        assert row["previous_hash"] == previous
        previous = hashlib.sha256((previous + content).encode()).hexdigest()
        assert row["hash"] == previous


@pytest.mark.parametrize("target", ["ledger.xlsx", "ledger", "missing/ledger.csv", ".jsonl"])
def test_an_export_needs_a_file_of_a_known_form_that_can_be_written(run: Run, target: str) -> None:
    result = run("ledger", "--export", target)
    assert result.code == 3
    assert "--export is" in result.err


def test_an_unused_ledger_is_an_empty_export(run: Run) -> None:
    assert run("ledger", "--export", "-").out == ""
    assert run("ledger", "--export", "e.csv", "--json").answer == {"file": "e.csv", "format": "csv"}
