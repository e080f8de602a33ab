from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from _activity import Activity
from _pipeline import live_through
from dpdau.model.releases import Metric
from support.builders import EXACT

FIRST = date(2025, 3, 1)

# (user, day told of, days until arrival, what happens)
Happening = tuple[int, int, int, str]


def activity(happenings: list[Happening]) -> Activity:
    ordered = sorted(happenings, key=lambda each: each[1] + each[2])
    users, days, delays, kinds = zip(*ordered, strict=True)
    told = FIRST.toordinal() + np.array(days, dtype=np.int32)
    return Activity(
        name="made up",
        users=np.array(users, dtype=np.int64),
        days=told,
        arrivals=told + np.array(delays, dtype=np.int32),
        adds=np.array([kind == "+" for kind in kinds]),
        whole_user=np.array([kind == "erase" for kind in kinds]),
    )


happenings = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.integers(0, 4),
        st.integers(0, 2),
        st.sampled_from(["+", "-", "erase"]),
    ),
    min_size=1,
)


@given(happenings)
def test_the_product_publishes_the_truth_when_noise_is_nothing(
    tmp_path_factory: pytest.TempPathFactory, given_happenings: list[Happening]
) -> None:
    settings: dict[str, Any] = {**EXACT, "data_dir": tmp_path_factory.mktemp("data")}
    last = FIRST + timedelta(days=3)
    values = list(live_through(activity(given_happenings), settings, start=FIRST, end=last))
    assert len(values) == 8
    assert [value.release.estimate for value in values] == [value.true_count for value in values]


def test_days_for_which_no_budget_is_left_have_no_value(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "data_dir": tmp_path,
        "mechanism_dau": "laplace",
        "epsilon_dau": 1.0,
        "dau_budget_total": 3.0,
    }
    found = activity([(0, 0, 0, "+")])
    last = FIRST + timedelta(days=5)
    values = list(live_through(found, settings, start=FIRST, end=last, metrics=[Metric.DAU]))
    assert 3 <= len(values) < 6
    assert [value.release.day for value in values] == [
        FIRST + timedelta(days=offset) for offset in range(len(values))
    ]
