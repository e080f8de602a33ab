import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import _libraries
import rivals
from _libraries import LIBRARIES, Choice, Library, choose, run
from dpdau.privacy.gaussian_curve import gaussian_mu

DELTA = 1e-6
INSTALLED = Path(sys.prefix) / "rivals"
PRESENT = np.array(
    [
        [True, False, True, False],
        [True, True, True, False],
        [False, False, True, False],
        [True, False, True, False],
    ]
)
"""Four days of four people, the last of whom never comes."""


def expected_squares(present: NDArray[np.bool_], kept_days: int) -> float:
    """The mean squared loss, over every choice of every person's days."""
    ways = [
        list(itertools.combinations(days, min(kept_days, len(days))))
        for days in (np.flatnonzero(column).tolist() for column in present.T)
    ]
    squares = []
    for chosen in itertools.product(*ways):
        counted = np.bincount([day for days in chosen for day in days], minlength=len(present))
        squares.append(float(((present.sum(axis=1) - counted) ** 2).mean()))
    return float(np.mean(squares))


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda each: each.script)
@pytest.mark.parametrize("epsilon", [0.5, 3.0, 200.0])
def test_each_library_gets_the_setting_that_errs_least_on_the_very_data(
    library: Library, epsilon: float
) -> None:
    mu = (gaussian_mu if library.has_exact_curve else rivals.zcdp_mu)(epsilon, DELTA)
    every = [
        (
            math.sqrt(noise**2 + expected_squares(PRESENT, bound - library.lost_days)),
            kind,
            bound,
        )
        for bound in range(1, len(PRESENT) + 1)
        for kind, noise in (
            ("laplace", rivals.laplace_std_error(bound, epsilon)),
            ("gaussian", math.sqrt(bound) / mu),
        )
    ]
    rmse, noise, bound = min(every)
    choice = choose(library, PRESENT, epsilon, DELTA)
    assert choice.rmse == pytest.approx(rmse)
    assert (choice.noise, choice.bound) == (noise, bound)


def with_script(
    folder: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> NDArray[np.float64] | str:
    """What comes of a library whose script is this one."""
    python = folder / "mine" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (folder / "mine_daily.py").write_text(script)
    monkeypatch.setattr(_libraries, "_SCRIPTS", folder)
    library, choice = Library("Mine", "mine"), Choice("gaussian", 3, 1.0, 1.0)
    return run(library, choice, PRESENT, 2.0, DELTA, environments=folder, trials=2)


def test_a_script_is_told_everything_and_gives_a_column_a_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
import json, sys
from pathlib import Path
request = json.loads(sys.argv[1])
assert Path(request["pairs"]).stat().st_size
told = [request["days"], request["epsilon"], request["delta"], request["bound"]]
assert request["noise"] == "gaussian" and 0 < request["rho"] < request["epsilon"]
Path(request["estimates"]).write_text(json.dumps([told] * request["trials"]))
"""
    estimates = with_script(tmp_path, monkeypatch, script)
    assert not isinstance(estimates, str), estimates
    assert estimates.tolist() == [[4, 4], [2.0, 2.0], [DELTA, DELTA], [3, 3]]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("raise ValueError('no such noise')", "failed: ValueError: no such noise"),
        ("raise SystemExit(7)", "failed: exit code 7"),
    ],
)
def test_a_library_that_fails_is_left_out_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    assert with_script(tmp_path, monkeypatch, script) == reason


def test_a_library_that_takes_too_long_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_libraries, "_MOST_SECONDS", 0.2)
    found = with_script(tmp_path, monkeypatch, "import threading; threading.Event().wait()")
    assert found == "took more than 0.2 seconds"


def test_a_library_that_is_not_installed_is_left_out(tmp_path: Path) -> None:
    choice = choose(LIBRARIES[0], PRESENT, 1.0, DELTA)
    found = run(LIBRARIES[0], choice, PRESENT, 1.0, DELTA, environments=tmp_path, trials=1)
    assert found == "not installed: `make eval-rivals` does"


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["laplace", "gaussian"])
@pytest.mark.parametrize(
    "library",
    [
        pytest.param(
            each,
            id=each.script,
            marks=pytest.mark.skipif(
                not each.python(INSTALLED).exists(), reason="`make eval-rivals` installs it"
            ),
        )
        for each in LIBRARIES
    ],
)
def test_what_users_of_a_library_write_counts_people_a_day(library: Library, noise: str) -> None:
    # A price at which noise is nothing, and a bound that loses nobody.
    choice = Choice(noise, len(PRESENT) + library.lost_days, 0.0, 0.0)
    estimates = run(library, choice, PRESENT, 1e9, DELTA, environments=INSTALLED, trials=2)
    assert not isinstance(estimates, str), estimates
    truth = PRESENT.sum(axis=1)
    assert np.allclose(estimates, truth[:, None], atol=0.5)
