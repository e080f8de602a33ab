"""Mutation testing, tried on a project of two functions."""

import subprocess
import sys
from pathlib import Path

import pytest

from _mutations import mutants_of

DRIVER = Path(__file__).parents[3] / "torture" / "mutants.py"
MODULE = '''"""A module."""

__all__ = ["at_most", "total"]

UNIT = 2


def at_most(value: int, bound: int) -> int:
    """The value, or the bound if that is less."""
    return bound if value > bound else value


def total(values: list[int]) -> int:
    """The sum."""
    found = 0
    for value in values:
        found += value
    if found < 0:
        raise ValueError("No sum is negative.")
    return found * UNIT
'''
TESTS = """import pytest
from arithmetic import at_most, total


def test_nothing_is_more_than_the_bound():
    assert [at_most(value, 3) for value in range(5)] == [0, 1, 2, 3, 3]


def test_the_total_is_the_sum():
    assert total([1, 2, 4]) == 14
    assert total([]) == 0


def test_no_total_is_negative():
    with pytest.raises(ValueError):
        total([-1])
"""
EQUIVALENT = (
    "- `at_most`: `return bound if value > bound else value`"
    " → `return bound if value >= bound else value`"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "src/arithmetic.py": MODULE,
        "tests/test_arithmetic.py": TESTS,
        "docs/mutation-survivors.md": "",
        "pyproject.toml": """
            [tool.pytest.ini_options]
            pythonpath = ["src"]
            addopts = ["--import-mode=importlib"]
            [tool.mutants]
            options = []
            libraries = ["decimal"]
            [tool.mutants.areas.sums]
            modules = ["src/*.py"]
            tests = ["tests"]
        """,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def drive(project: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DRIVER), "--root", str(project), "--workers", "2"]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_what_the_tests_do_not_notice_has_to_be_listed(project: Path) -> None:
    # Of this module's mutants only the one that does the same is left.
    found = drive(project)
    assert [line for line in found.stdout.splitlines() if "→" in line] == [EQUIVALENT]
    assert found.returncode == 1

    page = project / "docs" / "mutation-survivors.md"
    page.write_text(f"### `src/arithmetic.py`\n\n{EQUIVALENT}\n", encoding="utf-8")
    found = drive(project)
    assert "→" not in found.stdout, found.stdout
    assert found.returncode == 0, found.stderr

    # A test less, and what only it noticed survives.
    tests = project / "tests" / "test_arithmetic.py"
    kept, _, _ = tests.read_text(encoding="utf-8").partition("def test_no_total")
    tests.write_text(kept.replace("total([]) == 0", "True"), encoding="utf-8")
    found = drive(project)
    assert "- `total`: `if found < 0:` → `if found <= 0:`" in found.stdout
    assert found.returncode == 1


def test_a_listed_mutant_that_is_killed_or_gone_has_to_leave_the_list(project: Path) -> None:
    (project / "docs" / "mutation-survivors.md").write_text(
        f"### `src/arithmetic.py`\n\n{EQUIVALENT}\n- `total`: `found = 0` → `found = 1`\n"
        "- `gone`: `a` → `b`\n",
        encoding="utf-8",
    )
    found = drive(project)
    assert found.returncode == 1
    killed, _, gone = found.stdout.partition("are no mutants any more")
    assert "src/arithmetic.py `total`: `found = 0` → `found = 1`" in killed
    assert "src/arithmetic.py `gone`: `a` → `b`" in gone


def test_mutants_change_what_runs_and_no_words(project: Path) -> None:
    names = [mutant.name for mutant in mutants_of(project / "src" / "arithmetic.py", project)]
    assert "`UNIT = 2` → `UNIT = 3`" in names
    assert "`total`: `found += value` → `found -= value`" in names
    assert "`total`: `if found < 0:` → `if not (found < 0):`" in names
    assert EQUIVALENT.removeprefix("- ") in names
    assert len(names) == len(set(names))
    for words in ("__all__", '"""', "No sum", "-> int"):
        assert not any(words in name for name in names), words
