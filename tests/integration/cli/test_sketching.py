"""Sketches as files, through the command line."""

from datetime import date
from pathlib import Path

import datasketches
import pytest

from support.command_line import Run


@pytest.fixture
def stored(run: Run, day: date, tmp_path: Path) -> None:
    events = tmp_path / "events.csv"
    rows = [f"user-{each},+,{day}" for each in range(40)]
    events.write_text("\n".join(["user_id,op,day", *rows]) + "\n")
    assert run("ingest", "--from", str(events)).code == 0


@pytest.mark.usefixtures("stored")
def test_an_export_is_a_file_that_datasketches_opens_and_no_other_user_may_read(
    run: Run, day: date, tmp_path: Path
) -> None:
    file = tmp_path / "day.theta"
    result = run("sketch", "export", str(day), "--out", str(file), "--json")
    assert result.answer == {
        "file": str(file), "private": False, "hashes": 40, "rate": 1.0, "estimate": 40.0,
    }  # fmt: skip
    assert "Not private" in result.err
    assert file.stat().st_mode & 0o077 == 0
    sketch = datasketches.compact_theta_sketch.deserialize(file.read_bytes())
    assert sketch.get_estimate() == 40


@pytest.mark.usefixtures("stored")
def test_imports_are_counted_each_and_together(run: Run, day: date, tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("day.theta", "month.theta")]
    assert run("sketch", "export", str(day), "--out", files[0]).code == 0
    exported = run("sketch", "export", str(day), "--window", "30", "--out", files[1])
    assert "Wrote 40 users" in exported.out

    result = run("sketch", "import", *files, "--json")
    assert [each["file"] for each in result.answer["sketches"]] == files
    assert result.answer["union"] == {"hashes": 40, "rate": 1.0, "estimate": 40.0}
    table = run("sketch", "import", *files)
    assert "all together" in table.out
    assert "Not private" in table.err


def test_a_file_that_is_no_sketch_is_refused_by_name(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("not a sketch")
    result = run("sketch", "import", str(file), "--json")
    assert result.code == 3
    assert str(file) in result.problem["detail"]
    missing = run("sketch", "import", str(tmp_path / "missing"), "--json")
    assert "No such file" in missing.problem["detail"]


@pytest.mark.usefixtures("stored")
def test_a_file_that_cannot_be_written_is_refused(run: Run, day: date, tmp_path: Path) -> None:
    target = str(tmp_path / "no" / "folder")
    result = run("sketch", "export", str(day), "--out", target, "--json")
    assert result.problem["parameter"] == "--out"


@pytest.mark.usefixtures("realistic")
def test_plan_compares_the_ways_to_count(run: Run) -> None:
    result = run("plan", "--users", "50000", "--days", "7", "--json")
    assert [each["sketch"] for each in result.answer["sketches"]] == ["set", "theta", "hllpp"]
    shown = run("plan", "--users", "50000", "--days", "7").out
    assert "theta, 1 in 16" in shown
    assert "hllpp, 16,384 registers" in shown


@pytest.mark.usefixtures("stored")
def test_no_export_is_written_where_erasures_promise_to_leave_nothing(
    run: Run, day: date, tmp_path: Path
) -> None:
    file = tmp_path / "data" / "day.theta"
    result = run("sketch", "export", str(day), "--out", str(file))
    assert result.code == 3
    assert "a file outside of DATA_DIR" in result.err
    assert not file.exists()
