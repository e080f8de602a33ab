import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brute_force import largest_squared_norm, number_of_runs, patterns
from dpdau.errors import InvalidPlanError
from dpdau.privacy.strategy import Presence
from dpdau.privacy.strategy.patterns import blocks, runs_of, vector
from dpdau.privacy.strategy.sensitivity import (
    Certificate,
    Rows,
    by_alternating_flips,
    by_enumeration,
    by_prefix_counts,
    certified_sensitivity,
    is_flat,
)
from dpdau.privacy.strategy.square_root import square_root_rows

UNBOUNDED = Presence("unbounded")


@st.composite
def triangular_rows(draw: st.DrawFn) -> Rows:
    days = draw(st.integers(1, 8))
    entry = st.integers(-9, 9)
    return tuple(
        (*(draw(entry) for _ in range(day)), draw(st.integers(1, 9)), *([0] * (days - day - 1)))
        for day in range(days)
    )


@st.composite
def flat_rows(draw: st.DrawFn) -> Rows:
    days = draw(st.integers(1, 9))
    return tuple(
        (
            *([draw(st.integers(-9, 9))] * day),
            draw(st.integers(1, 9)),
            *([0] * (days - day - 1)),
        )
        for day in range(days)
    )


@st.composite
def falling_toeplitz_rows(draw: st.DrawFn) -> Rows:
    days = draw(st.integers(1, 10))
    values = draw(st.lists(st.integers(0, 60), min_size=days, max_size=days))
    on_differences = sorted(values, reverse=True)
    on_differences[0] += 1
    steps = np.diff([0, *on_differences]).tolist()
    return tuple(
        tuple(steps[day - j] if j <= day else 0 for j in range(days)) for day in range(days)
    )


@given(triangular_rows(), st.integers(1, 4))
def test_enumeration_finds_the_largest_norm_over_all_vectors(rows: Rows, runs: int) -> None:
    expected = largest_squared_norm(rows, patterns(len(rows), runs))
    assert by_enumeration(rows, Presence("runs", runs)) == expected


def test_integers_that_no_float_holds_are_summed_exactly() -> None:
    rows = ((2**28 - 3, 0), (5, 2**28 - 7))
    expected = largest_squared_norm(rows, patterns(2, 1))
    assert expected % 2 == 1
    assert expected > 2**54
    assert by_enumeration(rows, Presence("runs", 1)) == expected


@given(flat_rows())
def test_prefix_counts_find_the_largest_norm_over_all_vectors(rows: Rows) -> None:
    expected = largest_squared_norm(rows, patterns(len(rows), len(rows)))
    assert by_prefix_counts(rows) == expected
    assert certified_sensitivity(rows, UNBOUNDED) == (expected, Certificate.PREFIX_COUNTS)


@given(falling_toeplitz_rows(), st.integers(1, 5))
def test_alternating_flips_never_fall_below_the_largest_norm(rows: Rows, runs: int) -> None:
    largest = largest_squared_norm(rows, patterns(len(rows), runs))
    assert by_alternating_flips(rows, Presence("runs", runs)) >= largest


@pytest.mark.parametrize("days", [1, 2, 9, 12])
def test_alternating_flips_are_exact_for_one_run(days: int) -> None:
    rows = square_root_rows(days)
    expected = largest_squared_norm(rows, patterns(days, 1))
    assert by_alternating_flips(rows, Presence("runs", 1)) == expected


@pytest.mark.parametrize("runs", [2, 3])
def test_alternating_flips_are_near_the_largest_norm_of_the_square_root(runs: int) -> None:
    rows = square_root_rows(12)
    largest = largest_squared_norm(rows, patterns(12, runs))
    assert largest <= by_alternating_flips(rows, Presence("runs", runs)) <= 1.6 * largest


@given(triangular_rows(), st.integers(1, 3))
@settings(max_examples=30)
def test_every_pattern_is_visited_once_with_its_own_value(rows: Rows, runs: int) -> None:
    days = len(rows)
    matrix = np.array(rows, dtype=np.int64)
    seen = {}
    for block in blocks(matrix.T @ matrix, min(runs, (days + 1) // 2)):
        for (row, column), value in np.ndenumerate(block.values):
            ones = vector(runs_of(block.flips(row, column)), days).astype(int)
            assert value == ((matrix @ ones) ** 2).sum()
            seen[tuple(ones.tolist())] = seen.get(tuple(ones.tolist()), 0) + 1
    assert seen == dict.fromkeys(patterns(days, runs), 1)


def test_a_flat_strategy_with_too_many_patterns_is_bounded_over_all_vectors() -> None:
    rows = tuple(tuple([-1] * day + [50] + [0] * (39 - day)) for day in range(40))
    presence = Presence("runs", 6)
    assert certified_sensitivity(rows, presence) == (
        by_prefix_counts(rows),
        Certificate.PREFIX_COUNTS,
    )


def test_the_square_root_of_a_long_period_is_bounded_by_its_flips() -> None:
    bound, certificate = certified_sensitivity(square_root_rows(120), Presence("runs", 5))
    assert certificate is Certificate.ALTERNATING_FLIPS
    # Blind search, to see that the bound is one on a size that cannot be enumerated.
    matrix = np.array(square_root_rows(120), dtype=np.int64)
    for length in range(1, 13):
        for gap in range(1, 13):
            ones = np.array([day % (length + gap) < length for day in range(120)], dtype=np.int64)
            ones[5 * (length + gap) :] = 0
            assert number_of_runs(ones.tolist()) <= 5
            assert ((matrix @ ones) ** 2).sum() <= bound


def test_a_long_strategy_of_no_certified_kind_is_refused() -> None:
    rows = tuple(
        tuple((-1) ** j if j < day else 9 * (j == day) for j in range(40)) for day in range(40)
    )
    assert not is_flat(rows)
    with pytest.raises(InvalidPlanError, match="cannot be certified"):
        certified_sensitivity(rows, Presence("runs", 6))


@pytest.mark.parametrize("entry", [2**40, 2**29])
def test_entries_beyond_exact_arithmetic_are_refused(entry: int) -> None:
    rows = ((entry, 0, 0), (1, entry, 0), (2, 1, entry))
    with pytest.raises(InvalidPlanError, match="too large"):
        by_enumeration(rows, Presence("runs", 1))
