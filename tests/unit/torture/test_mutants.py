"""Mutation testing, tried on a project of two functions."""

import os
import resource
import select
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import _trial
import mutants
from _forks import Task, run_in_forks
from _mutations import mutants_of

DRIVER = Path(__file__).parents[3] / "torture" / "mutation" / "mutants.py"
FORKING = """
import os, time
from _forks import Task, run_in_forks

def wait():
    print(os.getpid(), flush=True)
    time.sleep(3600)

list(run_in_forks([Task("one", wait, 60.0)], 1, is_silent=False))
"""
MODULE = '''"""A module."""

from typing import TypeAlias

__all__ = ["at_most", "weighted"]

Number: TypeAlias = int
LEAST = 0


def at_most(value: int, bound: int) -> int:
    """The value, or the bound if that is less."""
    if value < LEAST:
        raise ValueError("No value is negative.", value)
    return bound if value > bound else value


def weighted(one: int, other: int) -> int:
    """Two of one and three of the other."""
    return 2 * one + 3 * other
'''
TESTS = """import pytest
import surroundings
from arithmetic import at_most, weighted


def test_nothing_is_more_than_the_bound():
    assert [at_most(value, 3) for value in range(5)] == [0, 1, 2, 3, 3]


def test_nothing_is_negative():
    with pytest.raises(ValueError) as refusal:
        at_most(-1, 3)
    assert -1 in refusal.value.args


def test_weights_are_two_and_three():
    assert surroundings.are_there
    assert weighted(5, 7) == 31
"""
SURROUNDINGS = """from contextlib import contextmanager

are_there = False


@contextmanager
def around():
    global are_there
    are_there = True
    yield
    are_there = False
"""
EQUIVALENT = (
    "- `at_most`: `return bound if value > bound else value`"
    " → `return bound if value >= bound else value`"
)
VALUE_OF_AN_ERROR = (
    '`at_most`: `raise ValueError("No value is negative.", value)`'
    ' → `raise ValueError("No value is negative.", None)`'
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "src/arithmetic.py": MODULE,
        "tests/test_arithmetic.py": TESTS,
        "support/surroundings.py": SURROUNDINGS,
        "docs/mutation-survivors.md": "",
        "pyproject.toml": """
            [tool.pytest.ini_options]
            pythonpath = ["src", "support"]
            addopts = ["--import-mode=importlib"]
            [tool.mutants]
            options = []
            libraries = ["decimal"]
            [tool.mutants.areas.sums]
            modules = ["src/*.py"]
            tests = ["tests"]
            around = ["surroundings:around"]
        """,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def drive(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the driver under test
        [sys.executable, str(DRIVER), "--root", str(project), *options],
        check=False,
        capture_output=True,
        text=True,
    )


def test_what_the_tests_notice_is_killed_and_what_does_the_same_may_survive(
    project: Path,
) -> None:
    page = project / "docs" / "mutation-survivors.md"
    page.write_text(f"### `src/arithmetic.py`\n\n{EQUIVALENT}\n", encoding="utf-8")
    found = drive(project)
    assert "→" not in found.stdout, found.stdout
    assert found.returncode == 0, found.stderr
    assert "| sums | 13 | 13 | 12 |" in found.stdout


def test_a_wrong_list_is_an_error(project: Path) -> None:
    (project / "docs" / "mutation-survivors.md").write_text(
        "### `src/arithmetic.py`\n\n- `LEAST = 0` → `LEAST = 1`\n- `gone`: `a` → `b`\n",
        encoding="utf-8",
    )
    found = drive(project)
    assert found.returncode == 1
    unlisted, _, rest = found.stdout.partition("These are listed and were killed.")
    killed, _, gone = rest.partition("are no mutants any more")
    assert EQUIVALENT in unlisted.splitlines()
    assert "src/arithmetic.py `LEAST = 0` → `LEAST = 1`" in killed
    assert "src/arithmetic.py `gone`: `a` → `b`" in gone


def test_samples_that_follow_one_another_are_all_mutants_once(project: Path) -> None:
    everything = mutants_of(project / "src" / "arithmetic.py", project)
    first, second = mutants._sample(everything, 5, 0), mutants._sample(everything, 0, 5)  # noqa: SLF001 - what is tried
    assert len(first) == 5
    assert sorted([*first, *second]) == sorted(everything)
    assert first == mutants._sample(everything[::-1], 5, 0)  # noqa: SLF001 - as above


def test_a_skipped_mutant_is_not_tried(project: Path) -> None:
    found = drive(project, "--skip", "12")
    assert "| sums | 13 | 1 |" in found.stdout, found.stderr


def test_mutants_change_what_runs_and_values_of_errors_but_no_words(project: Path) -> None:
    names = [mutant.name for mutant in mutants_of(project / "src" / "arithmetic.py", project)]
    assert sorted(names) == sorted(
        [
            "`LEAST = 0` → `LEAST = None`",
            "`LEAST = 0` → `LEAST = 1`",
            "`at_most`: `if value < LEAST:` → `if not (value < LEAST):`",
            "`at_most`: `if value < LEAST:` → `if value <= LEAST:`",
            VALUE_OF_AN_ERROR,
            EQUIVALENT.removeprefix("- "),
            *(
                "`at_most`: `return bound if value > bound else value` → "
                f"`return bound if (value > bound) {forced} else value`"
                for forced in ("and False", "or True")
            ),
            *(
                f"`weighted`: `return 2 * one + 3 * other` → `return {changed}`"
                for changed in (
                    "3 * one + 3 * other",
                    "2 / one + 3 * other",
                    "2 * one - 3 * other",
                    "2 * one + 4 * other",
                    "2 * one + 3 / other",
                )
            ),
        ]
    )


def test_a_test_may_take_several_times_what_it_takes_on_the_product(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_trial, "_SPARE_SECONDS", 2.5)
    watch = _trial._Watch({"a test": 0.5})  # noqa: SLF001 - it is what ends a mutant that hangs

    def seconds_allowed() -> str:
        watch.pytest_runtest_protocol(cast("Any", SimpleNamespace(nodeid="a test")))
        return str(resource.getrlimit(resource.RLIMIT_CPU)[0])

    (ended,) = run_in_forks([Task("a mutant", seconds_allowed, 60.0)], 1)
    assert ended.answer == "7", ended.trouble


def test_a_fork_ends_with_the_process_that_made_it() -> None:
    with subprocess.Popen(  # noqa: S603 - the forks under test
        [sys.executable, "-c", FORKING], cwd=DRIVER.parent, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        fork = os.pidfd_open(int(process.stdout.readline()))
        process.kill()
    assert select.select([fork], [], [], 60)[0]
    os.close(fork)
