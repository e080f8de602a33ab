from pathlib import Path

import pyarrow.parquet as pq
import pytest

from _experiment import open_experiment, run_trials, show
from dpdau.errors import FileUnreadableError, InvalidValueError


@pytest.fixture(autouse=True)
def _data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))


def test_a_table_is_read_as_it_was_written_and_has_a_twin_for_programs(tmp_path: Path) -> None:
    rows = [{"metric": "dau", "rmse": 1.5, "w": None}, {"metric": "mau", "rmse": 2.0, "w": 4}]
    experiment = open_experiment("first")
    assert not experiment.has("accuracy")
    path = experiment.write("accuracy", rows, seed=7)
    assert experiment.has("accuracy")
    assert experiment.read("accuracy") == rows
    assert '"seed": 7' in path.read_text()
    assert pq.read_table(path.with_suffix(".parquet")).to_pylist() == rows
    assert sorted(file.name for file in (tmp_path / "experiments" / "first").iterdir()) == [
        "accuracy.json",
        "accuracy.parquet",
    ]


def test_the_experiment_of_the_settings_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERIMENT_ID", "spring")
    assert open_experiment().results.parts[-2:] == ("experiments", "spring")


@pytest.mark.parametrize("name", ["", "..", "a/b", "x" * 65])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(InvalidValueError):
        open_experiment(name)


def test_a_table_that_was_not_made_says_how_to_make_it() -> None:
    with pytest.raises(FileUnreadableError, match="make eval"):
        open_experiment("none").read("accuracy")


@pytest.mark.parametrize("processes", [1, 2])
def test_trials_answer_in_the_order_of_their_tasks(processes: int) -> None:
    assert run_trials(abs, [-3, 2, -1], label="trials", processes=processes) == [3, 2, 1]


def test_tables_are_shown_with_their_title(capsys: pytest.CaptureFixture[str]) -> None:
    show("Errors", ["metric", "rmse"], [["dau", "1.5"]])
    assert "Errors" in capsys.readouterr().out
