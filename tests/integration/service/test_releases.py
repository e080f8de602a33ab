import csv
import io
from collections.abc import Callable
from datetime import date, timedelta

import pytest

from support.service import Service, assert_problem, event

TODAY = date(2025, 11, 20)
YESTERDAY = TODAY - timedelta(days=1)
FIRST = date(2025, 11, 1)
CONTINUAL = {
    "mechanism_dau": "continual",
    "dau_budget_total": 3.0,
    "epsilon_dau": 0.3,
}


class TestOneRelease:
    def test_a_closed_day_has_a_value_with_its_error_and_its_price(self, service: Service) -> None:
        service.send(event("ada", YESTERDAY), event("bob", YESTERDAY))
        answer = service.client.get(f"/dau/{YESTERDAY}")
        assert answer.status_code == 200
        value = answer.json()
        assert value["metric"] == "dau"
        assert value["day"] == "2025-11-19"
        assert value["window_days"] == 1
        assert value["estimate"] == 2
        assert value["lower_95"] <= 2 <= value["upper_95"]
        assert value["guarantee"]["unit"] == "user"
        assert value["budget"]["epsilon_spent"] > 0
        assert answer.headers["cache-control"] == "no-store"

    def test_the_same_question_gets_the_same_answer_whatever_came_since(
        self, open_service: Callable[..., Service]
    ) -> None:
        service = open_service(epsilon_dau=0.1)
        first = service.client.get(f"/dau/{YESTERDAY}").json()
        service.send(*(event(f"user-{number}", YESTERDAY) for number in range(100)))
        assert service.client.get(f"/dau/{YESTERDAY}").json() == first

    def test_mau_counts_the_window_that_ends_on_the_day(self, service: Service) -> None:
        service.send(event("ada", YESTERDAY - timedelta(days=29)), event("bob", YESTERDAY))
        month = service.client.get("/mau", params={"end": str(YESTERDAY)}).json()
        week = service.client.get("/mau", params={"end": str(YESTERDAY), "window": 7}).json()
        assert (month["window_days"], month["estimate"]) == (30, 2)
        assert (week["window_days"], week["estimate"]) == (7, 1)

    def test_mau_is_of_the_newest_closed_day_by_default(self, service: Service) -> None:
        assert service.client.get("/mau").json()["day"] == str(YESTERDAY)

    def test_an_open_day_is_a_problem_that_says_when_it_closes(self, service: Service) -> None:
        problem = assert_problem(service.client.get(f"/dau/{TODAY}"), 409, "day-open")
        assert problem["closes_at"] == "2025-11-21T00:00+00:00"
        assert problem["instance"] == "/dau/2025-11-20"

    def test_a_day_that_is_no_longer_kept_is_a_problem(self, service: Service) -> None:
        assert_problem(service.client.get("/dau/2020-01-01"), 404, "day-out-of-range")

    @pytest.mark.parametrize("day", ["yesterday", "2025-13-01", "20251119", "2025-11-19T00:00"])
    def test_what_is_no_day_is_a_problem(self, service: Service, day: str) -> None:
        problem = assert_problem(service.client.get(f"/dau/{day}"), 422, "invalid-value")
        assert "YYYY-MM-DD" in problem["detail"]

    @pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
    def test_the_ends_of_the_calendar_are_no_fault(self, service: Service, day: str) -> None:
        for path in (f"/dau/{day}", f"/mau?end={day}", f"/budget/dau?day={day}"):
            assert service.client.get(path).status_code < 500
        for query in (f"start={day}", f"end={day}", f"start={day}&end={day}"):
            assert service.client.get(f"/series/dau?{query}").status_code < 500

    @pytest.mark.parametrize(
        ("window", "kind"),
        [(0, "invalid-input"), (401, "invalid-value"), (10**30, "invalid-value")],
    )
    def test_a_window_that_cannot_be_counted_is_a_problem(
        self, service: Service, window: int, kind: str
    ) -> None:
        answer = service.client.get("/mau", params={"window": window})
        problem = assert_problem(answer, 422, kind)
        assert "window" in problem["detail"]

    def test_an_exhausted_budget_is_a_problem_and_nothing_is_spent(
        self, open_service: Callable[..., Service]
    ) -> None:
        service = open_service(epsilon_dau=1.0, dau_budget_total=1.5, mechanism_dau="laplace")
        assert service.client.get(f"/dau/{YESTERDAY}").status_code == 200
        before = service.client.get("/budget/dau").json()
        refused = service.client.get(f"/dau/{YESTERDAY - timedelta(days=1)}")
        problem = assert_problem(refused, 429, "budget-exhausted")
        assert problem["epsilon_cap"] == 1.5
        assert "retry-after" not in refused.headers
        assert service.client.get("/budget/dau").json() == before
        assert service.client.get(f"/dau/{YESTERDAY}").status_code == 200


class TestSeries:
    def test_a_continual_series_publishes_every_closed_day(
        self, open_service: Callable[..., Service]
    ) -> None:
        service = open_service(**CONTINUAL)
        answer = service.client.get("/series/dau").json()
        assert [each["day"] for each in answer["releases"]] == [
            str(FIRST + timedelta(days=offset)) for offset in range(19)
        ]
        assert answer["unpublished"] == []
        assert answer["releases"][0]["band_upper_95"] >= answer["releases"][0]["upper_95"]
        assert service.client.get("/series/dau").json() == answer

    def test_per_release_mechanisms_are_not_drained_by_a_look_at_a_range(
        self, service: Service
    ) -> None:
        service.client.get(f"/dau/{YESTERDAY}")
        answer = service.client.get(f"/series/dau?start={FIRST}&end={YESTERDAY}").json()
        assert len(answer["releases"]) == 1
        assert len(answer["unpublished"]) == 18
        assert service.client.get("/budget/dau").json()["releases"] == 1

    @pytest.mark.parametrize(
        ("query", "headers"),
        [("format=csv", {}), ("", {"Accept": "text/csv"}), ("format=csv", {"Accept": "*/*"})],
    )
    def test_a_series_comes_as_csv_if_asked(
        self, service: Service, query: str, headers: dict[str, str]
    ) -> None:
        released = service.client.get(f"/dau/{YESTERDAY}").json()
        answer = service.client.get(f"/series/dau?{query}", headers=headers)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert len(rows) == 1
        assert rows[0]["day"] == released["day"]
        assert float(rows[0]["estimate_raw"]) == released["estimate_raw"]
        assert rows[0]["release_id"] == released["release_id"]

    def test_a_series_comes_as_json_if_both_are_welcome(self, service: Service) -> None:
        answer = service.client.get("/series/dau", headers={"Accept": "application/json, text/csv"})
        assert answer.headers["content-type"] == "application/json"

    def test_a_range_that_is_empty_or_too_long_is_a_problem(self, service: Service) -> None:
        for query in (f"start={TODAY}&end={FIRST}", f"start=2000-01-01&end={FIRST}"):
            assert_problem(service.client.get(f"/series/dau?{query}"), 422, "invalid-value")

    def test_an_unknown_metric_or_format_is_a_problem(self, service: Service) -> None:
        problem = assert_problem(service.client.get("/series/wau"), 404, "unknown-metric")
        assert "'wau'" in problem["detail"]
        problem = assert_problem(service.client.get("/series/dau?format=xml"), 422, "invalid-input")
        assert problem["errors"][0]["parameter"] == "format"


class TestBudget:
    def test_a_metric_and_all_metrics_have_budgets(self, service: Service) -> None:
        service.client.get(f"/dau/{YESTERDAY}")
        budget = service.client.get("/budget/dau").json()
        assert budget["releases"] == 1
        assert budget["epsilon_spent"] + budget["epsilon_remaining"] == pytest.approx(1e12)
        totals = service.client.get("/budget").json()
        assert budget in totals["periods"]
        assert totals["lifetime"]["epsilon"] >= budget["epsilon_spent"] * 0.999

    def test_a_budget_is_that_of_the_period_of_a_day(self, service: Service) -> None:
        service.client.get(f"/dau/{YESTERDAY}")
        earlier = service.client.get("/budget/dau?day=2025-10-31").json()
        assert (earlier["period"], earlier["releases"]) == ("2025-10", 0)

    def test_wrong_questions_are_problems(self, service: Service) -> None:
        assert_problem(service.client.get("/budget/wau"), 404, "unknown-metric")
        assert_problem(service.client.get("/budget/dau?day=soon"), 422, "invalid-value")


class TestPlan:
    def test_a_plan_shows_its_strategy_and_certificate(
        self, open_service: Callable[..., Service]
    ) -> None:
        plan = open_service(**CONTINUAL).client.get("/plan/dau/2025-10").json()
        assert (plan["metric"], plan["period"], plan["days"]) == ("dau", "2025-10", 31)
        assert len(plan["strategy"]) == 31
        assert plan["rho"] == pytest.approx(plan["sensitivity_squared"] / (2 * plan["sigma"] ** 2))

    def test_what_is_no_period_is_a_problem(self, service: Service) -> None:
        for period in ("soon", "2025", "2025-Q4"):
            problem = assert_problem(
                service.client.get(f"/plan/dau/{period}"), 422, "invalid-value"
            )
            assert "2025-" in problem["detail"]
        assert_problem(service.client.get("/plan/wau/2025-10"), 404, "unknown-metric")
