import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brute_force import patterns
from dpdau.errors import InvalidPlanError
from dpdau.privacy.strategy import Presence
from dpdau.privacy.strategy.factor import error_per_sensitivity
from dpdau.privacy.strategy.sensitivity import by_enumeration
from dpdau.privacy.strategy.witness import Witness

UNBOUNDED = Presence("unbounded")
DAYS = 5


def runs_of_vector(ones: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    edges = np.flatnonzero(np.diff([0, *ones, 0])).tolist()
    return (
        tuple(itertools.batched(edges, 2))
        if hasattr(itertools, "batched")
        else tuple(zip(edges[::2], edges[1::2], strict=True))
    )


@given(
    st.lists(st.integers(-9, 9), min_size=10, max_size=10),
    st.lists(st.integers(1, 20), min_size=DAYS, max_size=DAYS),
    st.dictionaries(
        st.sampled_from(patterns(DAYS, 2)), st.floats(0.01, 1.0), min_size=1, max_size=12
    ),
)
def test_no_distribution_bounds_any_strategy_from_above(
    below: list[int], diagonal: list[int], weights: dict[tuple[int, ...], float]
) -> None:
    matrix = np.diag(diagonal)
    matrix[np.tril_indices(DAYS, -1)] = below
    rows = tuple(tuple(row) for row in matrix.tolist())
    presence = Presence("runs", 2)
    total = math.fsum(weights.values())
    witness = Witness(
        patterns=tuple((runs_of_vector(ones), w / total) for ones, w in weights.items())
    )
    witness.require_within(DAYS, presence)
    achieved = error_per_sensitivity(rows, by_enumeration(rows, presence))
    assert witness.bound(DAYS) <= achieved * (1 + 1e-9)


@pytest.mark.parametrize("active", range(DAYS + 1))
def test_active_days_stand_for_all_patterns_with_as_many(active: int) -> None:
    vectors = [v for v in itertools.product((0, 1), repeat=DAYS) if sum(v) == active]
    listed = Witness(patterns=tuple((runs_of_vector(v), 1 / len(vectors)) for v in vectors))
    short = Witness(active_days=((active, 1.0),))
    assert np.allclose(listed.second_moment(DAYS), short.second_moment(DAYS))


def test_a_single_day_has_no_pairs() -> None:
    assert Witness(active_days=((1, 1.0),)).bound(1) == 1.0


@pytest.mark.parametrize(
    ("witness", "reason"),
    [
        (Witness(patterns=((((0, 1),), 1.5), (((1, 2),), -0.5))), "negative"),
        (Witness(patterns=((((0, 1),), 0.9),)), "sum to"),
        (Witness(patterns=((((0, 1),), math.nan),)), "negative"),
        (Witness(patterns=((((1, 1),), 1.0),)), "separate runs"),
        (Witness(patterns=((((0, 2), (2, 3)), 1.0),)), "separate runs"),
        (Witness(patterns=((((-1, 2),), 1.0),)), "separate runs"),
        (Witness(patterns=((((0, 9),), 1.0),)), "separate runs"),
        (Witness(patterns=((((0, 1), (2, 3)), 1.0),)), "2 runs"),
        (Witness(active_days=((1, 1.0),)), "unbounded"),
    ],
)
def test_what_is_no_distribution_on_the_set_proves_nothing(witness: Witness, reason: str) -> None:
    with pytest.raises(InvalidPlanError, match=reason):
        witness.require_within(DAYS, Presence("runs", 1))


def test_more_active_days_than_days_are_refused() -> None:
    with pytest.raises(InvalidPlanError, match="outside"):
        Witness(active_days=((DAYS + 1, 1.0),)).require_within(DAYS, UNBOUNDED)


def test_json_values_give_the_witness_back() -> None:
    witness = Witness(patterns=((((0, 1), (2, 4)), 0.25), ((), 0.25)), active_days=((2, 0.5),))
    assert Witness.from_dict(witness.to_dict()) == witness


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"patterns": [], "active_days": [{"weight": 1.0}]},
        {"patterns": [{"runs": [[0, 1]], "weight": "1"}], "active_days": []},
        {"patterns": [{"runs": [[0, 1]], "weight": True}], "active_days": []},
        {"patterns": [{"runs": [[0, 1]], "weight": 10**400}], "active_days": []},
        {"patterns": [{"runs": [[0]], "weight": 1.0}], "active_days": []},
        {"patterns": [{"runs": [[0, 1.5]], "weight": 1.0}], "active_days": []},
        {"patterns": [{"runs": [[False, True]], "weight": 1.0}], "active_days": []},
    ],
)
def test_other_json_values_are_no_witness(data: object) -> None:
    with pytest.raises(InvalidPlanError, match="witness"):
        Witness.from_dict(data)
