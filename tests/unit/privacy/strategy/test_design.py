from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from brute_force import largest_squared_norm, patterns
from dpdau.errors import InvalidValueError
from dpdau.privacy.strategy import Presence
from dpdau.privacy.strategy import design as design_module
from dpdau.privacy.strategy.design import design
from dpdau.privacy.strategy.factor import SCALE, inverse, reversed_cholesky
from dpdau.privacy.strategy.flat import FLAT_SCALE, optimal_beta
from dpdau.privacy.strategy.optimum import Optimum, solve
from dpdau.privacy.strategy.sensitivity import by_alternating_flips, by_enumeration, is_flat
from dpdau.privacy.strategy.square_root import square_root_rows
from dpdau.privacy.strategy.stretch import stretched_witness

UNBOUNDED = Presence("unbounded")


@pytest.mark.parametrize("days", [28, 29, 30, 31])
@pytest.mark.parametrize("runs", [1, 2])
def test_a_month_is_within_a_thousandth_of_the_limit(days: int, runs: int) -> None:
    found = design(days, Presence("runs", runs))
    assert 1 <= found.primal / found.dual <= 1.001


def test_threads_that_want_the_same_design_share_one_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searches: list[int] = []

    def slow_solve(days: int, most_runs: int) -> Optimum:
        searches.append(days)
        return solve(days, most_runs)

    monkeypatch.setattr(design_module, "solve", slow_solve)
    wanted = (13, Presence("runs", 2))
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: design(*wanted), range(4)))
    assert searches == [13]
    assert all(each is found[0] for each in found)


def test_the_optimum_is_scaled_to_one_up_to_rounding() -> None:
    found = design(9, Presence("runs", 2))
    assert found.scale == SCALE
    assert found.sensitivity_squared < SCALE**2, "rounding took a little of it"
    assert found.sensitivity_squared / SCALE**2 == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("days", [1, 2, 7, 31, 366])
def test_a_plan_for_any_pattern_is_scaled_to_one_too(days: int) -> None:
    found = design(days, UNBOUNDED)
    assert found.scale == FLAT_SCALE
    assert found.sensitivity_squared / found.scale**2 == pytest.approx(1, abs=1e-4)


def test_six_flips_a_month_are_within_a_thousandth_of_the_limit() -> None:
    found = design(31, Presence("runs", 3))
    assert 1 <= found.primal / found.dual <= 1.001
    assert found.primal == pytest.approx(2.9190, rel=5e-4)


@pytest.mark.parametrize(("runs", "primal", "dual"), [(1, 2.1748, 2.1743), (2, 2.6847, 2.6827)])
def test_a_bounded_month_has_the_error_computed_elsewhere(
    runs: int, primal: float, dual: float
) -> None:
    found = design(31, Presence("runs", runs))
    assert found.primal == pytest.approx(primal, rel=5e-4)
    assert found.dual == pytest.approx(dual, rel=2e-4)


@pytest.mark.parametrize(
    ("days", "primal"),
    [(1, 1.0), (7, 1.8209), (28, 3.1449), (30, 3.2382), (31, 3.2834), (90, 5.2433), (365, 10.0525)],
)
def test_unbounded_presence_has_the_error_computed_elsewhere(days: int, primal: float) -> None:
    found = design(days, UNBOUNDED)
    assert found.primal == pytest.approx(primal, rel=5e-5)
    assert 1 <= found.primal / found.dual * (1 + 1e-12) <= 1.0001


def test_the_unbounded_months_parameter_is_the_one_computed_elsewhere() -> None:
    assert optimal_beta(31) == pytest.approx(0.8447, abs=2e-4)


def test_every_length_of_a_period_has_an_unbounded_plan_near_the_limit() -> None:
    for days in [*range(1, 28), 59, 181, 366]:
        found = design(days, UNBOUNDED)
        assert is_flat(found.rows)
        assert found.primal <= found.dual * 1.0001


@pytest.mark.parametrize("days", [3, 4, 7, 10])
@pytest.mark.parametrize("runs", [1, 2, 3, 5])
def test_short_periods_have_the_sensitivity_of_brute_force(days: int, runs: int) -> None:
    found = design(days, Presence("runs", runs))
    assert found.sensitivity_squared == largest_squared_norm(found.rows, patterns(days, runs))
    found.witness.require_within(days, Presence("runs", runs))
    assert 1 <= found.primal / found.dual * (1 + 1e-12) <= 1.001


@pytest.mark.parametrize("days", [0, 367])
def test_periods_are_between_a_day_and_a_leap_year(days: int) -> None:
    with pytest.raises(InvalidValueError, match="days"):
        design(days, UNBOUNDED)


def test_a_design_is_the_same_every_time() -> None:
    assert np.array_equal(solve(9, 2).gram, solve(9, 2).gram)


def test_fewer_rounds_give_a_worse_design_that_is_still_scaled_to_one() -> None:
    hasty, patient = solve(12, 2, most_rounds=1).gram, solve(12, 2).gram
    assert np.trace(np.linalg.inv(hasty)) > np.trace(np.linalg.inv(patient))
    largest = max(np.array(v) @ hasty @ np.array(v) for v in patterns(12, 2))
    assert largest == pytest.approx(1.0)


def test_a_year_with_few_flips_takes_the_square_root() -> None:
    presence = Presence("runs", 2)
    found = design(366, presence)
    assert found.rows == square_root_rows(366)
    assert found.sensitivity_squared == by_alternating_flips(found.rows, presence)
    assert found.dual < found.primal < 5.9
    found.witness.require_within(366, presence)


def test_a_year_with_many_flips_takes_the_plan_for_any_pattern() -> None:
    presence = Presence("runs", 12)
    found = design(366, presence)
    assert found.rows == design(366, UNBOUNDED).rows
    assert found.dual < found.primal == design(366, UNBOUNDED).primal
    found.witness.require_within(366, presence)


@pytest.mark.parametrize("days", [17, 33, 47, 100])
def test_a_stretched_witness_is_one(days: int) -> None:
    presence = Presence("runs", 3)
    stretched_witness(days, presence).require_within(days, presence)


def test_the_factor_gives_the_design_back() -> None:
    gram = solve(9, 2).gram
    factor = reversed_cholesky(gram)
    assert np.allclose(factor.T @ factor, gram)
    assert np.array_equal(factor, np.tril(factor))
    assert (np.diagonal(factor) > 0).all()


def test_the_inverse_is_lower_triangular() -> None:
    rows = design(9, Presence("runs", 2)).rows
    assert np.allclose(inverse(rows) @ np.array(rows), np.eye(9))
    assert not np.triu(inverse(rows), 1).any()


@pytest.mark.parametrize(("runs", "reference"), [(1, 2.435), (2, 3.068), (3, 3.499)])
def test_the_square_root_of_a_month_has_the_error_computed_elsewhere(
    runs: int, reference: float
) -> None:
    rows = square_root_rows(31)
    exact = by_enumeration(rows, Presence("runs", runs))
    variance = (inverse(rows) ** 2).sum() / 31
    assert np.sqrt(exact * variance) == pytest.approx(reference, abs=6e-4)
