import copy
import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.errors import InvalidPlanError, InvalidValueError
from dpdau.privacy.discrete_gaussian import discrete_gaussian_epsilon
from dpdau.privacy.strategy import Plan, Presence, check_plan, make_plan
from dpdau.privacy.strategy.witness import Witness

PLAN = make_plan(7, Presence("runs", 2), 2.0, 1e-6)
UNBOUNDED = make_plan(7, Presence("unbounded"), 2.0, 1e-6)
LONG = make_plan(60, Presence("runs", 4), 2.0, 1e-6)
PLANS = [PLAN, UNBOUNDED, LONG, make_plan(6, Presence("runs", 1), 0.3, 1e-8, sensitivity=8)]


@pytest.mark.parametrize("plan", PLANS)
def test_a_plan_as_made_holds(plan: Plan) -> None:
    check_plan(plan)
    assert discrete_gaussian_epsilon(
        plan.sensitivity_squared, plan.sigma, plan.days, plan.delta
    ) == pytest.approx(plan.epsilon, rel=1e-6)
    assert plan.rho == plan.sensitivity_squared / (2 * plan.sigma**2)


def test_a_single_day_s_plan_holds_whose_bound_is_its_error() -> None:
    plan = make_plan(1, Presence("unbounded"), 2.0, 1e-6)
    assert plan.dual == 1.0
    check_plan(plan)


@pytest.mark.parametrize("plan", PLANS)
def test_json_gives_the_plan_back(plan: Plan) -> None:
    restored = Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert restored == plan
    assert restored.plan_id == plan.plan_id
    check_plan(restored)


def test_a_plan_says_of_which_series_it_is_only_beside_its_content() -> None:
    data = {**PLAN.to_dict(), "metric": "mau", "period": "2025-10"}
    assert Plan.from_dict(data) == PLAN


def test_plans_of_other_content_have_other_ids() -> None:
    ids = {plan.plan_id for plan in PLANS}
    assert len(ids) == len(PLANS)
    assert dataclasses.replace(PLAN, epsilon=2.1).plan_id != PLAN.plan_id


def test_a_sampled_user_costs_as_much_as_the_users_they_stand_for() -> None:
    single = make_plan(6, Presence("runs", 1), 1.0, 1e-6)
    sampled = make_plan(6, Presence("runs", 1), 1.0, 1e-6, sensitivity=4)
    assert sampled.strategy == single.strategy
    assert sampled.sensitivity_squared == 16 * single.sensitivity_squared
    assert sampled.sigma == pytest.approx(4 * single.sigma)
    assert (sampled.primal, sampled.dual) == (single.primal, single.dual)


@pytest.mark.parametrize(
    ("epsilon", "delta", "sensitivity"), [(0.0, 1e-6, 1), (1.0, 0.0, 1), (1.0, 1e-6, 0)]
)
def test_a_budget_that_buys_nothing_is_refused(
    epsilon: float, delta: float, sensitivity: int
) -> None:
    with pytest.raises(InvalidValueError):
        make_plan(3, Presence("unbounded"), epsilon, delta, sensitivity)


def entry(row: int, column: int, by: int) -> Callable[[dict[str, Any]], None]:
    def alter(data: dict[str, Any]) -> None:
        data["strategy"][row][column] += by

    return alter


def field(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def alter(data: dict[str, Any]) -> None:
        data[name] = value(data[name]) if callable(value) else value

    return alter


def weight(by: float) -> Callable[[dict[str, Any]], None]:
    def alter(data: dict[str, Any]) -> None:
        data["witness"]["patterns"][0]["weight"] += by

    return alter


def move_weight(data: dict[str, Any]) -> None:
    heavy, light = (
        choose(data["witness"]["patterns"], key=lambda item: item["weight"])
        for choose in (max, min)
    )
    heavy["weight"], light["weight"] = 0.0, heavy["weight"] + light["weight"]


def cheaper_noise(data: dict[str, Any]) -> None:
    data["sigma"] *= 0.9
    data["rho"] /= 0.81


def dearer_noise(data: dict[str, Any]) -> None:
    data["sigma"] *= 1.1
    data["rho"] /= 1.21


FALSE_CLAIMS: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (entry(6, 0, 1), "sensitivity_squared|primal"),
    (entry(3, 3, -1), "sensitivity_squared|primal"),
    (entry(0, 0, 40_000), "sensitivity_squared"),
    (field("sensitivity_squared", lambda s: s - 1), "sensitivity_squared"),
    (field("sensitivity_squared", lambda s: s + 1), "sensitivity_squared"),
    (field("sensitivity", 2), "sensitivity_squared"),
    (field("scale", 2**15), "scale"),
    (field("sigma", lambda s: s * 0.999), "rho"),
    (field("rho", lambda r: r * 0.999), "rho"),
    (cheaper_noise, "epsilon is"),
    (dearer_noise, "larger than epsilon needs"),
    (field("epsilon", 1.9), "epsilon is"),
    (field("delta", 1e-7), "epsilon is"),
    (field("delta", 1.5), "price"),
    (field("sigma", -1.0), "sigma"),
    (field("primal", lambda p: p * 0.999), "primal"),
    (field("dual", lambda d: d * 1.001), "dual"),
    (field("gap", 0.0), "gap"),
    (weight(0.01), "sum to"),
    (weight(-1.0), "negative"),
    (move_weight, "dual"),
    (field("presence", {"kind": "runs", "runs": 3}), "sensitivity_squared"),
    (field("presence", {"kind": "runs", "runs": 1}), "sensitivity_squared|runs"),
    (field("presence", {"kind": "unbounded", "runs": None}), "sensitivity_squared"),
]


@pytest.mark.parametrize(("alter", "reason"), FALSE_CLAIMS)
def test_a_plan_that_claims_too_much_is_caught(
    alter: Callable[[dict[str, Any]], None], reason: str
) -> None:
    data = copy.deepcopy(PLAN.to_dict())
    del data["plan_id"]
    alter(data)
    with pytest.raises(InvalidPlanError, match=reason):
        check_plan(Plan.from_dict(data))


def test_a_witness_for_other_patterns_is_caught() -> None:
    spread = dataclasses.replace(PLAN, witness=Witness(active_days=((3, 1.0),)))
    with pytest.raises(InvalidPlanError, match="unbounded"):
        check_plan(spread)


@pytest.mark.parametrize("plan", [UNBOUNDED, LONG])
def test_other_kinds_of_plan_are_checked_as_strictly(plan: Plan) -> None:
    for alter in (
        lambda p: dataclasses.replace(p, sensitivity_squared=p.sensitivity_squared - 1),
        lambda p: dataclasses.replace(p, dual=p.dual * 1.001),
        lambda p: dataclasses.replace(p, primal=p.primal * 0.999),
    ):
        with pytest.raises(InvalidPlanError):
            check_plan(alter(plan))


@pytest.mark.parametrize(
    ("alter", "reason"),
    [
        (field("plan_id", "0" * 64), "plan_id"),
        (field("days", 0), "days"),
        (field("days", 367), "days"),
        (field("days", [7]), "days"),
        (field("days", 8), "8 rows"),
        (field("scale", 1.5), "scale"),
        (field("sigma", "1"), "sigma"),
        (field("sigma", math.inf), "sigma"),
        (field("sensitivity", 1 << 212), "plan_id"),
        (field("sensitivity", (1 << 212) + 1), "213 bits"),
        (entry(4, 1, 1 << 60), "beyond"),
        (field("rho", []), "rho"),
        (field("strategy", None), "rows"),
        (field("strategy", lambda rows: [*rows[:-1], rows[-1][:-1]]), "row 6"),
        (field("strategy", lambda rows: [*rows[:-1], None]), "row 6"),
        (field("strategy", lambda rows: [[1.0] * 7, *rows[1:]]), "no integer"),
        (entry(0, 1, 1), "come after"),
        (entry(2, 2, -(10**9)), "own day"),
        (field("presence", "unbounded"), "presence"),
        (field("witness", []), "witness"),
        (lambda data: data.pop("rho"), "no rho"),
        (lambda data: data.update(colour="red"), "colour"),
    ],
)
def test_a_file_that_is_no_plan_says_what_is_wrong(
    alter: Callable[[dict[str, Any]], None], reason: str
) -> None:
    data = copy.deepcopy(PLAN.to_dict())
    alter(data)
    with pytest.raises(InvalidPlanError, match=reason):
        Plan.from_dict(data)


any_number = st.one_of(
    st.integers(),
    st.integers(0, 4000).map(lambda bits: 1 << bits),
    st.floats(),
    st.sampled_from([5e-324, 1e-200, 1e200, 1.7e308]),
)


@given(
    st.dictionaries(
        st.sampled_from(["scale", "sensitivity", "sensitivity_squared", "sigma", "rho", "epsilon"])
        | st.sampled_from(["delta", "primal", "dual", "gap"]),
        any_number,
        min_size=1,
    )
)
def test_no_numbers_make_a_file_fail_other_than_as_an_invalid_plan(
    numbers: dict[str, Any],
) -> None:
    data = {**PLAN.to_dict(), **numbers}
    del data["plan_id"]
    same = all(PLAN.to_dict()[name] == value for name, value in numbers.items())
    if not same:
        with pytest.raises(InvalidPlanError):
            check_plan(Plan.from_dict(data))


@given(st.integers(0, 6), st.integers(0, 5000))
def test_no_entry_makes_a_file_fail_other_than_as_an_invalid_plan(day: int, bits: int) -> None:
    data = copy.deepcopy(PLAN.to_dict())
    del data["plan_id"]
    data["strategy"][day][day] = 1 << bits
    with pytest.raises(InvalidPlanError):
        check_plan(Plan.from_dict(data))


def test_a_witness_without_active_days_proves_nothing() -> None:
    empty = dataclasses.replace(PLAN, witness=Witness(patterns=(((), 1.0),)), dual=0.0)
    with pytest.raises(InvalidPlanError, match="no active days"):
        check_plan(empty)


def test_a_plan_is_an_object() -> None:
    with pytest.raises(InvalidPlanError, match="list"):
        Plan.from_dict([])
