"""Kills in small: a service that keeps its promises, and others that are found out."""

import re
from pathlib import Path

import pytest

from _newborn import Cradle
from kills import main, torture
from support.liars import EARLY_ANSWERS, LATE_ROWS

KILLS = 50
MOST_KILLS = 120
SEED = 20_251_007
LIARS = Path(__file__).parents[1] / "support" / "liars.py"

pytestmark = pytest.mark.slow


def test_nothing_is_lost_or_half_done_after_fifty_deaths(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--kills", str(KILLS), "--seed", str(SEED)]) == 0
    shown = capsys.readouterr().out
    assert "Deaths by call and file" in shown
    found = re.search(r"(\d+) deaths, \d+ of them with a power cut", shown)
    assert found is not None
    assert int(found[1]) >= KILLS


def test_a_disk_that_forgets_what_was_synced_is_found_out(tmp_path: Path) -> None:
    report = torture(
        MOST_KILLS, seed=SEED, folder=tmp_path, power=1.0, syncs_lie=True, failures=1, quiet=True
    )
    (failure,) = report.failures
    assert failure.deaths[-1].power


def test_answers_before_the_commit_are_found_out(tmp_path: Path) -> None:
    liar = (str(LIARS), EARLY_ANSWERS)
    report = torture(MOST_KILLS, seed=SEED, folder=tmp_path, launcher=liar, failures=1, quiet=True)
    (failure,) = report.failures
    assert any("expected active on" in found for found in failure.found), failure


def test_values_that_leave_before_their_row_are_found_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = torture(
        MOST_KILLS,
        seed=SEED,
        folder=tmp_path,
        launcher=(str(LIARS), LATE_ROWS),
        operations=["revise"],
        within_calls=False,
        failures=1,
        keep=True,
    )
    (failure,) = report.failures
    signs = ("a client was told", "There is no release")
    assert any(sign in found for found in failure.found for sign in signs), failure
    assert Path(failure.folder).is_dir()
    report.print()
    shown = capsys.readouterr().out
    assert shown.count(f"FAILED: run {failure.seed}") == 2
    assert "1 failures." in shown


def test_a_single_run_is_repeated_by_its_seed(tmp_path: Path) -> None:
    report = torture(1_000, seed=1, folder=tmp_path, only="7-3", quiet=True)
    assert report.runs == 1
    assert not report.failures


def test_a_service_that_cannot_start_is_a_failure(tmp_path: Path) -> None:
    with Cradle([]) as cradle:
        born = cradle.bear(
            ["no-such-command"], {}, clock=tmp_path, folder=tmp_path, log=tmp_path / "log"
        )
        assert born.wait() == 2
        assert "no-such-command" in born.printed
