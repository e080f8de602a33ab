"""Every file of DATA_DIR is its owner's alone, even where the umask lets others read."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

import export_budget_report
from _experiment import Experiment
from dpdau.config import load_settings
from support.command_line import serving


@pytest.fixture(autouse=True)
def _generous() -> Iterator[None]:
    """Files are open to everyone unless who makes them says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def dpdau(data_dir: Path, *arguments: str, ends_with: int = 0) -> None:
    command = [sys.executable, "-m", "dpdau", *arguments, "--data-dir", str(data_dir)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=data_dir)  # noqa: S603 - the program under test
    assert done.returncode == ends_with, done.stderr


@contextmanager
def used(data_dir: Path) -> Iterator[str]:
    """A service in whose store something of every kind has happened."""
    day = (datetime.now(UTC) - timedelta(days=3)).date()
    with serving(load_settings(data_dir=data_dir, lateness_hours=0)) as url:
        events = [{"user_id": f"user-{n}", "op": "+", "day": str(day)} for n in range(3)]
        assert httpx.post(f"{url}/event", json={"events": events}).status_code == 200
        assert httpx.get(f"{url}/dau/{day}").status_code == 200
        assert httpx.post(f"{url}/erasure", json={"user_id": "user-0"}).is_success
        assert httpx.post(f"{url}/event", json={"events": events[1:]}).status_code == 200
        yield url


def modes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): stat.filemode(path.stat().st_mode)[1:]
        for path in folder.rglob("*")
    }


def test_no_file_of_a_store_in_use_is_open_to_others(tmp_path: Path) -> None:
    data_dir = tmp_path / "made" / "data"
    with used(data_dir):
        dpdau(data_dir, "backup")
        broken = data_dir / "broken.jsonl"
        broken.touch(mode=0o600)
        broken.write_text(json.dumps({"user_id": "ada"}) + "\n")
        dpdau(data_dir, "ingest", "--from", str(broken), ends_with=3)
        sample = ("--quiet", "--sample-days", "1", "--daily-users", "2")
        report = export_budget_report.main([*sample, "--data-dir", str(data_dir)])
        found = modes(data_dir)
    assert report == 0
    assert stat.filemode(data_dir.stat().st_mode)[1:] == "rwx------"
    names = {Path(name).name for name in found}
    assert names >= {
        *("dpdau.sqlite3", "dpdau.sqlite3-wal", "dpdau.sqlite3-shm", "secret", "backups"),
        *("ledger.head", "ledger.head.lock", "erasures.journal", "erasures.journal.lock"),
        *("broken.jsonl.rejected.jsonl", "budget-snapshot.json"),
    }
    assert any(name.startswith("backups/dpdau-") for name in found)
    closed = {"rw-------", "rwx------"}
    assert {name: mode for name, mode in found.items() if mode not in closed} == {}


def test_nor_is_a_store_that_was_restored(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with used(data_dir):
        dpdau(data_dir, "backup")
    (backup,) = (data_dir / "backups").glob("*.sqlite3")
    dpdau(data_dir, "restore", str(backup))
    closed = {"rw-------", "rwx------"}
    assert set(modes(data_dir).values()) <= closed


def test_reports_and_experiments_are_in_closed_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = tmp_path / "data"
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    export_budget_report.main(["--quiet", "--sample-days", "1", "--daily-users", "2"])
    experiment = Experiment("one", data_dir / "experiments" / "one", data_dir / "plots" / "one")
    experiment.write("table", [{"number": 1}])
    found = modes(tmp_path)
    assert found["data"] == found["data/reports"] == found["data/experiments/one"] == "rwx------"
    assert found["data/reports/budget-snapshot.json"] == "rw-------"
