"""Processes under a clock that a file sets."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from _launch import now, set_clock
from _process import Installation

MOMENT = datetime(2031, 5, 17, 12, tzinfo=UTC)


def installation(folder: Path, **settings: str) -> Installation:
    data_dir = folder / "data"
    data_dir.mkdir()
    set_clock(folder / "clock", MOMENT)
    return Installation(data_dir, settings, folder / "clock")


def test_a_clock_stands_still_or_runs_beside_the_systems(tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    set_clock(clock, MOMENT)
    assert now(clock) == now(clock) == MOMENT
    for shift in (timedelta(days=3), timedelta(seconds=-0.5)):
        set_clock(clock, shift)
        before, found, after = datetime.now(UTC), now(clock), datetime.now(UTC)
        assert before + shift <= found <= after + shift


@pytest.mark.slow
def test_a_service_lives_by_its_clock_and_dies_as_told(tmp_path: Path) -> None:
    installed = installation(tmp_path, LATENESS_HOURS="0")
    with installed.serve() as running, httpx.Client(base_url=running.url) as client:
        assert client.get("/dau/2031-05-17").status_code == 409
        installed.set_clock(MOMENT + timedelta(days=1))
        assert client.get("/dau/2031-05-17").status_code == 200
        running.kill()
        assert running.wait() == -signal.SIGKILL
    with installed.serve() as running:
        assert running.stop() == 0
    assert any("listening" in line or "started" in line for line in running.log)


def test_a_service_that_cannot_start_says_why(tmp_path: Path) -> None:
    installed = installation(tmp_path, HASH_SALT_SECRET="a secret of tests")
    (installed.data_dir / "dpdau.sqlite3").write_text("no database at all, but some text" * 99)
    with pytest.raises(RuntimeError, match=r"ended with 10 before it listened(?s:.)*dpdau.sqlite3"):
        installed.serve()


def test_commands_live_by_the_same_clock(tmp_path: Path) -> None:
    installed = installation(tmp_path, LATENESS_HOURS="0")
    assert installed.run("publish").returncode == 0
    assert "2031-05-17" in installed.run("dau", "2031-05-17").stderr
