"""The evaluation as a sceptic runs it, in its small setting, from the commands to the notebook."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import plots
import report
from _experiment import open_experiment
from _tables import TABLES

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "eval" / "notebooks" / "evaluation.ipynb"


def environment(data_dir: Path) -> dict[str, str]:
    """This process's environment, with a place for results."""
    return os.environ | {"DATA_DIR": str(data_dir)}  # noqa: TID251 - inherited, not read


COMMANDS = {
    "evaluate": ["--quick"],
    "baselines": ["--quick"],
    "adversarial": ["--quick"],
    "audit": [
        "--quick",
        "--metrics",
        "dau",
        "--sketches",
        "set",
        "hllpp",
        "--mechanisms",
        "continual",
        "laplace",
    ],
}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of every command."""
    folder = tmp_path_factory.mktemp("evaluation")
    for name, options in COMMANDS.items():
        done = subprocess.run(  # noqa: S603 - our own scripts
            [sys.executable, str(ROOT / "eval" / f"{name}.py"), *options],
            env=environment(folder),
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
    return folder


@pytest.mark.slow
def test_every_figure_can_be_drawn_of_what_the_commands_measure(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    drawn, missing = plots.draw(open_experiment())
    assert missing == []
    assert len(drawn) == len(plots.FIGURES)


@pytest.mark.slow
def test_the_document_can_be_written_anew_of_what_the_commands_measure(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    experiment = open_experiment()
    plots.draw(experiment)
    document = tmp_path / "evaluation.md"
    marks = "".join(f"<!-- table {name} -->\n<!-- end -->\n" for name in TABLES)
    document.write_text(marks, encoding="utf-8")
    assert report.main(["--into", str(document)]) == 0
    parts = document.read_text(encoding="utf-8").split("<!-- end -->")
    assert len(parts) == len(TABLES) + 1
    assert all(part.count("\n| ") >= 3 for part in parts[:-1])


@pytest.mark.slow
def test_the_notebook_tells_its_story_from_these_results(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(data_dir))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(notebook, timeout=120, resources=place).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "Every table is there." in cells[1].outputs[0].text
    assert all(cell.outputs for cell in cells[1:])


def test_the_notebook_is_kept_without_results() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_what_cannot_be_used_is_one_clear_line(name: str, tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own scripts
        [sys.executable, str(ROOT / "eval" / f"{name}.py"), "--experiment", "../elsewhere"],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "../elsewhere" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("evaluate", ["--trials", "0"]),
        ("evaluate", ["--epsilons", "-1"]),
        ("evaluate", ["--users", "0"]),
        ("evaluate", ["--seed", "-3"]),
        ("baselines", ["--epsilon", "inf"]),
        ("adversarial", ["--trials", "many"]),
        ("audit", ["--months", "0"]),
    ],
)
def test_numbers_that_make_no_sense_are_refused_by_name(name: str, options: list[str]) -> None:
    done = subprocess.run(  # noqa: S603 - our own scripts
        [sys.executable, str(ROOT / "eval" / f"{name}.py"), *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert options[0] in last
    assert "expected a" in last
    assert repr(options[1]) in last
