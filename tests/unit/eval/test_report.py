from pathlib import Path
from typing import Any

import pytest

import report
from _experiment import Experiment, open_experiment
from _tables import TABLES

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
GAPS = [
    {"metric": "dau", "days": days, "w": None, "gap": gap}
    for days, gap in ((28, 0.0002), (31, 1e-5))
] + [{"metric": "mau", "days": 31, "w": 4, "gap": 0.00051}]
TABLE = """| plan | flips counted | at most this far from the best possible |
| --- | --- | --- |
| DAU | unbounded | 0.020 % |
| MAU | 4 | 0.051 % |"""


def baseline(name: str, ratio: float | None, **fields: Any) -> dict[str, Any]:
    errors = dict.fromkeys(("rmse", "rmse_low", "rmse_high"), None if ratio is None else 5 * ratio)
    common = {"activity": "a log", "metric": "dau", "epsilon": 3.0, "days_bound": None}
    computed = {"std_error_computed": None, "reason": None}
    return {**common, "baseline": name, "ratio": ratio, **errors, **computed, **fields}


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    return open_experiment("reported")


def test_a_mark_is_filled_with_its_table_and_filling_again_changes_nothing(
    experiment: Experiment,
) -> None:
    experiment.write("certificate", GAPS)
    text = "Before.\n\n<!-- table certificates -->\nstale\n<!-- end -->\n\nAfter.\n"
    filled = report.fill(text, experiment)
    assert (
        filled == f"Before.\n\n<!-- table certificates -->\n\n{TABLE}\n\n<!-- end -->\n\nAfter.\n"
    )
    assert report.fill(filled, experiment) == filled


def test_ours_is_told_from_rivals_and_what_was_not_run_says_why() -> None:
    _, markdown_of = TABLES["baselines"]
    rows = [
        baseline("this product", 1.0),
        baseline("worse", 2.5, days_bound=7, std_error_computed=12.25),
        baseline("better", 0.5),
        baseline("one library", None, reason="not installed"),
        baseline("another", None, reason="not installed"),
    ]
    lines = markdown_of(rows).splitlines()
    assert lines[2:5] == [
        "| better | 2.5 (2.5–2.5) |  | 0.50 |",
        "| **this product** | 5.0 (5.0–5.0) |  | 1.00 |",
        "| worse, 7 days a person | 12.5 (12.5–12.5) | 12.2 | 2.50 |",
    ]
    assert lines[-1] == "Not run: one library; another: not installed."


def test_the_document_has_every_table_once() -> None:
    assert sorted(report._MARKED.sub(r"\g<name>", mark[0]) for mark in marks()) == sorted(TABLES)  # noqa: SLF001 - its own marks


def marks() -> list[Any]:
    return list(report._MARKED.finditer(DOCUMENT))  # noqa: SLF001 - as above


def test_the_document_shows_figures_that_are_there() -> None:
    shown = [each["path"] for each in report._FIGURE.finditer(DOCUMENT)]  # noqa: SLF001 - as above
    assert shown
    assert [each for each in shown if not (ROOT / "docs" / each).exists()] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<!-- table audit -->\n<!-- end -->", "audit.json"),
        ("![](images/evaluation-month.png)", "month.png"),
    ],
)
def test_what_has_not_been_made_is_one_clear_line_and_nothing_is_written(
    experiment: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    document = tmp_path / "page.md"
    document.write_text(text)
    code = report.main(["--experiment", experiment.name, "--into", str(document)])
    assert code != 0
    assert told in capsys.readouterr().err
    assert document.read_text() == text


def test_a_document_that_is_not_there_is_one_clear_line(
    experiment: Experiment, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = report.main(["--experiment", experiment.name, "--into", str(tmp_path / "none.md")])
    assert code != 0
    assert "none.md" in capsys.readouterr().err
