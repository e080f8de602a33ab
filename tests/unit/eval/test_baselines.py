from pathlib import Path

import numpy as np
import pytest

import baselines
from _activity import Activity
from _cases import SIMULATED, Source
from baselines import Setting, compare, presence
from dpdau.model.calendar import Period
from dpdau.model.releases import Metric

MONTH = Period.named("2025-02")


def activity(*happenings: tuple[int, int, int, str]) -> Activity:
    """Events of (user, day told of, day of arrival, what), both counted from the month's first."""
    ordered = sorted(happenings, key=lambda each: each[2])
    users, days, arrivals, kinds = zip(*ordered, strict=True)
    first = MONTH.first.toordinal()
    return Activity(
        name="made up",
        users=np.array(users, dtype=np.int64),
        days=first + np.array(days, dtype=np.int32),
        arrivals=first + np.array(arrivals, dtype=np.int32),
        adds=np.array([kind == "+" for kind in kinds]),
        whole_user=np.array([kind == "erase" for kind in kinds]),
    )


def test_who_is_present_is_what_is_known_when_a_day_closes() -> None:
    log = activity(
        (7, -40, -40, "+"),
        (7, -2, -2, "+"),
        (3, 0, 0, "+"),
        (3, 1, 9, "+"),  # told of too late
        (5, 1, 1, "+"),
        (5, 4, 4, "+"),
        (5, 4, 4, "-"),
        (7, 6, 6, "erase"),
    )
    single, window = presence(log, MONTH, 1), presence(log, MONTH, 3)
    assert single.shape == window.shape == (MONTH.days, 3)
    days_of = {user: np.flatnonzero(single[:, at]).tolist() for at, user in enumerate((3, 5, 7))}
    assert days_of == {3: [0], 5: [1], 7: []}
    days_of = {user: np.flatnonzero(window[:, at]).tolist() for at, user in enumerate((3, 5, 7))}
    # From the ninth day on, what was told of late lies outside of the window.
    assert days_of == {3: [0, 1, 2], 5: [1, 2, 3], 7: [0]}


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    source = Source(name=SIMULATED, users=60, p_active=0.4, delete_rate=0.1, seed=3)
    return Setting(
        source=source,
        metric=Metric.MAU,
        window_days=30,
        epsilon=3.0,
        delta=1e-6,
        trials=2,
        environments=tmp_path,
    )


def test_every_baseline_has_its_errors_or_a_reason(setting: Setting) -> None:
    rows = compare(setting)
    assert rows[0]["baseline"] == "this product"
    assert rows[0]["ratio"] == 1
    for row in rows:
        assert (row["rmse"] is None) == (row["how"] == "not run") == (row["reason"] is not None)
        if row["rmse"] is not None:
            assert row["rmse_low"] <= row["rmse"] <= row["rmse_high"]
            assert row["ratio"] == pytest.approx(row["rmse"] / rows[0]["rmse"])
    not_run = {row["baseline"] for row in rows if row["rmse"] is None}
    assert not_run == {"OpenDP", "PipelineDP", "Tumult Analytics"}


def test_the_error_that_is_computed_is_the_one_that_is_run(setting: Setting) -> None:
    """Of rivals that lose nobody, whose errors are noise alone."""
    present = presence(setting.source.activity(), setting.source.month(), 30)
    often = Setting(**{name: getattr(setting, name) for name in setting.__slots__} | {"trials": 80})
    for tried in baselines._unbounded(often, present):  # noqa: SLF001 - without the slow rest
        assert tried.errors is not None
        assert tried.std_error is not None
        # A 31 x 80 sample: its root mean square lies within 10 % but once in a million times.
        assert float(np.sqrt((tried.errors**2).mean())) == pytest.approx(tried.std_error, rel=0.1)


def test_only_as_many_first_days_count_as_are_paid_for(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    present = np.ones((MONTH.days, 40), dtype=np.bool_)
    present[:5, :7] = False
    counted: list[tuple[int | None, np.ndarray]] = []
    linear, laplace = baselines._linear, baselines._laplace  # noqa: SLF001 - looked at on their way

    def see_linear(*given: object, **named: object) -> object:
        counted.append((named["days_bound"], given[4]))  # type: ignore[arg-type]
        return linear(*given, **named)  # type: ignore[arg-type]

    def see_laplace(*given: object) -> object:
        counted.append((given[4], given[3]))  # type: ignore[arg-type]
        return laplace(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(baselines, "_linear", see_linear)
    monkeypatch.setattr(baselines, "_laplace", see_laplace)
    assert len(list(baselines._bounded(setting, present))) == 2  # noqa: SLF001 - as above
    for bound, days in counted:
        assert bound is not None
        assert days.sum(axis=0).max() == min(bound, MONTH.days)
        assert not (days & ~present).any()
        # The first ones: whoever is counted on a day was counted on all earlier days of theirs.
        assert ((present.cumsum(axis=0) <= bound) & present == days).all()
