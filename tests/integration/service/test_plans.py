from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from support.service import Service, assert_problem

YESTERDAY = date(2025, 11, 19)
USUAL = {
    "mechanism_dau": "continual",
    "mechanism_mau": "continual",
    "w_bound_mau": 2,
    "dau_budget_total": 3.0,
    "epsilon_dau": 0.3,
    "mau_budget_total": 3.5,
    "epsilon_mau": 0.5,
}


@pytest.fixture
def usual(open_service: Callable[..., Service]) -> Service:
    return open_service(**USUAL)


class TestPlan:
    def test_a_plan_compares_mechanisms_and_advises_one(self, usual: Service) -> None:
        plan = usual.client.get("/plan?users=50000&target_error=1%25").json()

        assert (plan["metric"], plan["period"], plan["days"]) == ("dau", "2025-11", 30)
        assert (plan["users"], plan["target_error"], plan["target_users"]) == (50_000, "1%", 500)
        assert [each["mechanism"] for each in plan["mechanisms"]] == [
            "continual",
            "gaussian",
            "laplace",
        ]
        needed = [each["epsilon_for_target"] for each in plan["mechanisms"]]
        assert needed == sorted(needed)
        assert plan["recommended"] == "continual"
        assert plan["recommendation"].startswith("Take a continual series")

    def test_every_parameter_is_heard(self, usual: Service) -> None:
        query = {"users": 9, "epsilon": 2, "metric": "mau", "period": "2025-02", "window": 7}
        plan = usual.client.get("/plan", params=query).json()

        assert (plan["users"], plan["epsilon"], plan["metric"]) == (9, 2.0, "mau")
        assert (plan["period"], plan["days"], plan["window_days"]) == ("2025-02", 28, 7)
        assert plan["runs"] == 1

    def test_planning_spends_nothing(self, usual: Service) -> None:
        usual.client.get("/plan?users=50000")
        assert usual.application.ledger() == []

    @pytest.mark.parametrize(
        ("query", "status", "kind", "name"),
        [
            ("", 422, "invalid-input", "users"),
            ("users=0", 422, "invalid-input", "users"),
            ("users=many", 422, "invalid-input", "users"),
            ("users=10000000000000", 422, "invalid-value", "users"),
            ("users=9&epsilon=0", 422, "invalid-input", "epsilon"),
            ("users=9&epsilon=nan", 422, "invalid-input", "epsilon"),
            ("users=9&epsilon=51", 422, "invalid-value", "epsilon"),
            ("users=9&target_error=0%25", 422, "invalid-value", "target_error"),
            ("users=9&target_error=0.01", 422, "invalid-value", "target_error"),
            ("users=9&period=soon", 422, "invalid-value", "period"),
            ("users=9&period=2025", 422, "invalid-value", "period"),
            ("users=9&window=7", 422, "invalid-value", "window"),
            ("users=9&metric=wau", 404, "unknown-metric", "wau"),
        ],
    )
    def test_what_cannot_be_planned_is_a_problem(
        self, usual: Service, query: str, status: int, kind: str, name: str
    ) -> None:
        problem = assert_problem(usual.client.get(f"/plan?{query}"), status, kind)
        assert name in problem["detail"] + str(problem.get("errors"))


class TestReleases:
    @pytest.fixture
    def value(self, usual: Service) -> Any:
        return usual.client.get(f"/dau/{YESTERDAY}").json()

    def test_a_release_is_found_by_its_id(self, usual: Service, value: Any) -> None:
        assert usual.client.get(f"/releases/{value['release_id']}").json() == value

    def test_a_release_is_explained(self, usual: Service, value: Any) -> None:
        told = usual.client.get(f"/releases/{value['release_id']}/explain").json()

        assert told["release"] == value
        assert told["paid_by"] == "series"
        assert told["sentences"]["meaning"].endswith("on 2025-11-19.")
        assert len(told["sentences"]["limits"]) >= 3

    @pytest.mark.parametrize("path", ["/releases/none", "/releases/none/explain"])
    def test_what_was_never_released_is_a_problem(self, usual: Service, path: str) -> None:
        problem = assert_problem(usual.client.get(path), 404, "release-not-found")
        assert "'none'" in problem["detail"]
