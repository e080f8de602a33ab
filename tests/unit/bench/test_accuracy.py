import json
import runpy
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "bench" / "accuracy.py"


@pytest.fixture(scope="module")
def ratios(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], float]:
    """Each mechanism's error relative to ours, by series and mechanism."""
    file = tmp_path_factory.mktemp("bench") / "accuracy.json"
    runpy.run_path(str(SCRIPT))["main"](["--json", str(file)])
    return {
        (series["series"], item["mechanism"]): item["ratio"]
        for series in json.loads(file.read_text())["series"]
        for item in series["mechanisms"]
    }


@pytest.mark.parametrize(
    ("series", "mechanism", "least"),
    [
        ("DAU, unbounded", "independent Gaussian noise", 1.69),
        ("DAU, unbounded", "Laplace, naive composition", 2.9),
        ("MAU, w = 4", "independent Gaussian noise", 2.07),
        ("MAU, w = 4", "binary tree", 2.39),
        ("MAU, w = 4", "square-root factorisation", 1.14),
        ("MAU, w = 4", "Laplace, naive composition", 3.5),
    ],
)
def test_other_mechanisms_err_more_by_the_factor_that_is_claimed(
    ratios: dict[tuple[str, str], float], series: str, mechanism: str, least: float
) -> None:
    assert ratios[series, mechanism] >= least


def test_no_mechanism_has_a_smaller_error_than_ours(
    ratios: dict[tuple[str, str], float],
) -> None:
    assert all(ratio is None or ratio >= 1 for ratio in ratios.values())


def test_sums_that_are_not_used_only_cost(ratios: dict[tuple[str, str], float]) -> None:
    for flips in (2, 4, 6):
        series = f"MAU, w = {flips}"
        assert ratios[series, "binary tree, unused sums left out"] < ratios[series, "binary tree"]
