import copy
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

import _figures
import plots
from _experiment import Experiment, open_experiment

METRICS = ("dau", "mau")
MECHANISMS = ("continual", "gaussian", "laplace")


def interval(name: str, value: float) -> dict[str, float]:
    return {name: value, f"{name}_low": 0.9 * value, f"{name}_high": 1.1 * value}


def months() -> list[dict[str, Any]]:
    return [
        {
            "metric": metric,
            "mechanism": "continual",
            "day": f"2025-03-{day:02}",
            "true_count": 1_000 + 20 * day,
            "estimate": 1_004 + 20 * day,
            "lower_95": 992.0 + 20 * day,
            "upper_95": 1_016.0 + 20 * day,
        }
        for metric in METRICS
        for day in range(1, 32)
    ]


def budgets() -> list[dict[str, Any]]:
    return [
        {
            "metric": metric,
            "mechanism": mechanism,
            "period": f"2025-{month:02}",
            "day": f"2025-{month:02}-{day:02}",
            "epsilon_spent": min(3.0, 2.4 if mechanism == "continual" else 0.3 * day),
            "epsilon_cap": 3.0,
        }
        for metric in METRICS
        for mechanism in ("continual", "laplace")
        for month in (3, 4)
        for day in range(1, 29)
    ]


TABLES: dict[str, list[dict[str, Any]]] = {
    "accuracy": [
        {
            "activity": "simulated",
            "metric": metric,
            "sketch": "set",
            "mechanism": mechanism,
            "epsilon": epsilon,
            **interval("rmse", (2.0 + number) * 10 / epsilon),
        }
        for metric in METRICS
        for number, mechanism in enumerate(MECHANISMS)
        for epsilon in (0.1, 0.3, 1.0, 3.0)
    ],
    "population": [
        {
            "metric": metric,
            "mechanism": mechanism,
            "users": users,
            **interval("relative_error", (5.0 + number) / users),
        }
        for metric in METRICS
        for number, mechanism in enumerate(MECHANISMS)
        for users in (1_000, 10_000, 100_000)
    ],
    "flips": [
        {"metric": metric, "w": flips, "std_error": noise, "limiter_bias": bias}
        for metric in METRICS
        for flips, noise, bias in ((2, 4.0, 3.0), (4, 5.0, 0.1), (6, 5.5, 0.0), (None, 6.0, 0.0))
    ],
    "month": months(),
    "budget": budgets(),
    "certificate": [
        {"metric": metric, "days": days, "w": flips, "gap": 0.0005}
        for metric, flips in (("dau", None), ("mau", 2), ("mau", 4))
        for days in (28, 31)
    ],
    "baselines": [
        {
            "activity": activity,
            "metric": metric,
            "epsilon": 2.4,
            "baseline": baseline,
            "days_bound": bound,
            "ratio": ratio,
        }
        for activity in ("CDNOW", "simulated")
        for metric in METRICS
        for baseline, bound, ratio in (
            ("this product", None, 1.0),
            ("binary tree", None, 2.4),
            ("a library", 7, 4.0),
            ("a library that is not installed", None, None),
        )
    ],
    "adversaries": [
        {
            "adversary": adversary,
            "unit": unit,
            "naive_success": 0.99,
            "naive_low": 0.97,
            "naive_high": 1.0,
            "success": 0.55,
            "low": 0.5,
            "high": 0.6,
            "guessing": 0.5,
            "bound": 0.61,
        }
        for adversary, unit in (
            ("averaging", "share"),
            ("differencing", "share"),
            ("drain", "days"),
        )
    ],
    "audit": [
        {
            "metric": "dau",
            "sketch": "set",
            "mechanism": mechanism,
            "noise_scale": scale,
            "claimed_mu": claimed,
            "lower_mu": lower,
            "claimed_epsilon": 2.4,
            "lower_epsilon": 2.0,
        }
        for mechanism, claimed, lower in (("continual", 0.5, 0.45), ("laplace", None, None))
        for scale in (1.0, 0.5)
    ],
}


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    return open_experiment("drawn")


def test_every_table_is_drawn_in_both_forms(experiment: Experiment) -> None:
    for table, rows in TABLES.items():
        experiment.write(table, rows)
    drawn, missing = plots.draw(experiment)
    assert missing == []
    assert {path.stem for path in drawn} == {figure_of.__name__ for figure_of in plots.FIGURES}
    for path in drawn:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert "<svg" in path.with_suffix(".svg").read_text()


def test_figures_are_the_same_when_drawn_again(experiment: Experiment) -> None:
    experiment.write("month", TABLES["month"])
    (first,), _ = plots.draw(experiment)
    picture = first.with_suffix(".svg").read_bytes()
    plots.draw(experiment)
    assert first.with_suffix(".svg").read_bytes() == picture


@pytest.mark.parametrize("figure_of", plots.FIGURES, ids=lambda figure_of: figure_of.__name__)
def test_a_figure_changes_no_row_and_labels_what_it_shows(figure_of: Any) -> None:
    rows = TABLES[plots.FIGURES[figure_of]]
    before = copy.deepcopy(rows)
    figure: Figure = figure_of(rows)
    assert rows == before
    visible = [axes for axes in figure.axes if axes.get_visible()]
    assert visible
    for axes in visible:
        assert axes.get_title(loc="left") or axes.get_xlabel() or axes.get_ylabel()


def test_what_was_not_evaluated_is_said(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment.write("month", TABLES["month"])
    assert plots.main(["--experiment", "drawn"]) == 0
    printed = capsys.readouterr().out
    assert "month.png" in printed
    assert "accuracy has not been made; `make eval` makes it." in printed


def test_an_experiment_without_results_draws_nothing_and_fails(experiment: Experiment) -> None:
    assert plots.main(["--experiment", experiment.name]) == 1


def test_a_bad_name_is_one_clear_line(
    experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plots.main(["--experiment", "../elsewhere"]) != 0
    assert capsys.readouterr().out.startswith("Error: ")
    assert not experiment.results.exists()


def test_ours_stands_out_among_baselines_wherever_it_comes() -> None:
    figure = _figures.baselines(
        [
            {**TABLES["baselines"][0], "baseline": name, "ratio": ratio}
            for name, ratio in (("this product", 1.0), ("better", 0.5), ("worse", 2.0))
        ]
    )
    (axes,) = (each for each in figure.axes if each.get_visible())
    names = [label.get_text() for label in axes.get_yticklabels()]
    colours = {name: bar.get_facecolor() for name, bar in zip(names, axes.patches, strict=True)}
    assert colours["better"] == colours["worse"] != colours["this product"]
