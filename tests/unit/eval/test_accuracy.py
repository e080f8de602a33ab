from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from _accuracy import Errors, summary
from _cases import SIMULATED, Case, Source, Way
from _pipeline import Lived
from dpdau.model.calendar import Period, PeriodKind
from dpdau.model.releases import Mechanism, Metric, Release, SketchKind

FIRST = date(2025, 10, 1)
SOURCE = Source(SIMULATED, users=30, p_active=0.5, delete_rate=0.0, seed=1)
WAY = Way(SketchKind.SET, Mechanism.CONTINUAL, 1.0, ())


def lived(day: int, *, true: int, stored: int, counted: int, raw: float, **change: Any) -> Lived:
    release: dict[str, Any] = {
        "release_id": f"mau-{day}",
        "metric": Metric.MAU,
        "window_days": 30,
        "day": FIRST + timedelta(days=day),
        "revision": 0,
        "period": "2025-10",
        "estimate": max(0, round(raw)),
        "estimate_raw": raw,
        "std_error": 2.0,
        "lower_95": raw - 4,
        "upper_95": raw + 4,
        "epsilon": 1.0,
        "delta": 1e-6,
        "mechanism": Mechanism.CONTINUAL,
        "sketch": SketchKind.SET,
        "sensitivity": 1,
        "charge": None,
        "measurement": 0,
        "released_at": datetime(2025, 11, 1, tzinfo=UTC),
        **change,
    }
    return Lived(
        release=Release(**release),
        true_count=true,
        stored_count=stored,
        counted=counted,
        epsilon_spent=0.9,
        epsilon_cap=1.0,
    )


def test_an_error_is_split_into_noise_limiter_and_sketch() -> None:
    errors = Errors.of(
        [
            lived(0, true=100, stored=104, counted=101, raw=103.5),
            lived(1, true=100, stored=96, counted=96, raw=90.0),
        ]
    )
    assert errors.noise.tolist() == [2.5, -6.0]
    assert errors.limiter.tolist() == [-3.0, 0.0]
    assert errors.sketch.tolist() == [4.0, -4.0]
    assert errors.total.tolist() == [3.5, -10.0]
    assert errors.is_covered.tolist() == [True, False]
    assert (errors.epsilon, errors.window_days) == (0.9, 30)


def test_all_error_of_a_sketch_that_is_its_own_noise_is_the_sketchs() -> None:
    errors = Errors.of(
        [lived(0, true=100, stored=100, counted=100, raw=110.0, sketch=SketchKind.HLLPP)]
    )
    assert (errors.noise.tolist(), errors.limiter.tolist()) == ([0.0], [0.0])
    assert errors.sketch.tolist() == [10.0]


def trials(errors: Sequence[Sequence[float]]) -> list[dict[Metric, Errors]]:
    found = []
    for month in errors:
        values = [
            lived(day, true=200, stored=200, counted=200, raw=200 + error)
            for day, error in enumerate(month)
        ]
        found.append({Metric.MAU: Errors.of(values)})
    return found


def row_of(errors: Sequence[Sequence[float]]) -> dict[str, Any]:
    case = Case(SOURCE, WAY, (Metric.MAU,))
    month = Period.containing(FIRST, PeriodKind.MONTH)
    (row,) = summary(case, month, trials(errors), {Metric.MAU: 4})
    return row


def test_a_summary_is_of_all_values_and_its_interval_of_the_months() -> None:
    row = row_of([[3.0, -3.0], [4.0, 4.0], [5.0, 5.0]])
    assert row["rmse"] == pytest.approx(np.sqrt((9 + 9 + 16 + 16 + 25 + 25) / 6))
    assert row["relative_error"] == pytest.approx(row["rmse"] / 200)
    assert row["bias"] == row["bias_noise"] == pytest.approx(3)
    assert row["bias_limiter"] == row["bias_sketch"] == 0
    assert row["coverage"] == pytest.approx(4 / 6)
    assert row["rmse_low"] < row["rmse"] < row["rmse_high"]
    assert (row["trials"], row["values"], row["days"], row["w"]) == (3, 6, 31, 4)
    assert (row["composed_epsilon"], row["composed_delta"]) == (0.9, 1e-6)


def test_the_interval_of_the_error_tells_a_tenth_more_noise() -> None:
    random = np.random.default_rng(5)  # noqa: TID251 - errors of a test, with a fixed seed
    row = row_of(random.normal(scale=10, size=(400, 31)).tolist())
    assert row["rmse_low"] < 10 < row["rmse_high"]
    wider = row_of(random.normal(scale=11, size=(400, 31)).tolist())
    assert wider["rmse_low"] > 10
