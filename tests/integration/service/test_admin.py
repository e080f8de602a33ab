import csv
import io
import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from dpdau.store import MemoryStore
from support.service import Service, assert_problem, event

TODAY = date(2025, 11, 20)
YESTERDAY = TODAY - timedelta(days=1)
CONTINUAL = {"mechanism_dau": "continual", "dau_budget_total": 3.0, "epsilon_dau": 0.3}


class TestPublish:
    def test_closed_days_of_a_range_are_published_once(self, service: Service) -> None:
        body = {"from": str(YESTERDAY - timedelta(days=1)), "through": str(TODAY)}
        published = service.client.post("/publish", json=body).json()["published"]
        assert published == [
            "dau-1d-2025-11-18",
            "dau-1d-2025-11-19",
            "mau-30d-2025-11-18",
            "mau-30d-2025-11-19",
        ]
        assert service.client.post("/publish", json=body).json() == {"published": []}

    def test_what_is_due_is_published_by_default(
        self, open_service: Callable[..., Service]
    ) -> None:
        service = open_service(**CONTINUAL)
        service.clock.advance(days=1)
        service.application.upkeep.run()
        service.clock.advance(days=1)
        assert service.client.post("/publish").json()["published"] == ["dau-1d-2025-11-21"]

    def test_a_range_that_begins_before_everything_that_is_kept_is_cut(
        self, open_service: Callable[..., Service]
    ) -> None:
        service = open_service(retention_days=61)
        published = service.client.post("/publish", json={"from": "0001-01-01"}).json()["published"]
        assert published[0] == "dau-1d-2025-09-20"
        assert len(published) == 61 + 61 - 29

    def test_a_budget_that_ends_midway_tells_what_stands(
        self, open_service: Callable[..., Service]
    ) -> None:
        service = open_service(epsilon_dau=1.0, dau_budget_total=1.5)
        body = {"from": str(YESTERDAY - timedelta(days=1))}
        problem = assert_problem(
            service.client.post("/publish", json=body), 429, "budget-exhausted"
        )
        assert problem["published"] == [
            "dau-1d-2025-11-18",
            "mau-30d-2025-11-18",
            "mau-30d-2025-11-19",
        ]

    @pytest.mark.parametrize(
        ("body", "status", "kind"),
        [
            (b"{", 400, "malformed-body"),
            (b"\xff", 400, "malformed-body"),
            (b"[]", 422, "invalid-input"),
            (b'{"through": 7}', 422, "invalid-input"),
            (b'{"until": "2025-11-19"}', 422, "invalid-input"),
            (b'{"through": "soon"}', 422, "invalid-value"),
            (b'{"from": "soon"}', 422, "invalid-value"),
        ],
    )
    def test_a_bad_body_is_a_problem(
        self, service: Service, body: bytes, status: int, kind: str
    ) -> None:
        assert_problem(service.client.post("/publish", content=body), status, kind)


class TestRevise:
    def test_a_released_day_is_measured_again(self, service: Service) -> None:
        assert service.dau(YESTERDAY) == 0
        service.send(event("ada", YESTERDAY))
        body = {"metric": "dau", "day": str(YESTERDAY)}
        revised = service.client.post("/revise", json=body)
        assert revised.status_code == 200
        assert (revised.json()["revision"], revised.json()["estimate"]) == (1, 1)
        assert service.dau(YESTERDAY) == 1

    def test_another_window_can_be_revised(self, service: Service) -> None:
        service.client.get("/mau?window=7")
        body = {"metric": "mau", "day": str(YESTERDAY), "window": 7}
        assert service.client.post("/revise", json=body).json()["window_days"] == 7

    @pytest.mark.parametrize(
        ("body", "status", "kind"),
        [
            ({"metric": "dau", "day": "2025-11-01"}, 404, "release-not-found"),
            ({"metric": "wau", "day": "2025-11-01"}, 404, "unknown-metric"),
            ({"metric": "dau", "day": "soon"}, 422, "invalid-value"),
            ({"metric": "dau"}, 422, "invalid-input"),
            ({"metric": "mau", "day": "2025-11-01", "window": 0}, 422, "invalid-input"),
        ],
    )
    def test_a_bad_request_is_a_problem(
        self, service: Service, body: dict[str, Any], status: int, kind: str
    ) -> None:
        assert_problem(service.client.post("/revise", json=body), status, kind)


class TestLedger:
    def rows(self, service: Service) -> list[dict[str, Any]]:
        service.client.get(f"/dau/{YESTERDAY}")
        service.client.get("/mau")
        rows: list[dict[str, Any]] = service.client.get("/ledger").json()["rows"]
        return rows

    def test_every_release_has_its_row(self, service: Service) -> None:
        rows = self.rows(service)
        assert [row["subject"] for row in rows] == ["dau-1d-2025-11-19", "mau-30d-2025-11-19"]
        assert rows[1]["previous_hash"] == rows[0]["hash"]

    def test_rows_can_be_chosen_by_metric_and_period(self, service: Service) -> None:
        rows = self.rows(service)
        assert service.client.get("/ledger?metric=mau").json()["rows"] == rows[1:]
        assert service.client.get("/ledger?period=2025-11").json()["rows"] == rows
        assert service.client.get("/ledger?period=2025-10").json()["rows"] == []

    def test_rows_come_as_lines_or_as_csv(self, service: Service) -> None:
        rows = self.rows(service)
        lines = service.client.get("/ledger?format=jsonl")
        assert lines.headers["content-type"] == "application/x-ndjson"
        assert [json.loads(line) for line in lines.text.splitlines()] == rows
        table = service.client.get("/ledger?format=csv")
        assert table.headers["content-type"].startswith("text/csv")
        read = list(csv.DictReader(io.StringIO(table.text)))
        assert [json.loads(row["body"]) for row in read] == [row["body"] for row in rows]
        assert [row["hash"] for row in read] == [row["hash"] for row in rows]

    def test_wrong_questions_are_problems(self, service: Service) -> None:
        assert_problem(service.client.get("/ledger?metric=wau"), 404, "unknown-metric")
        assert_problem(service.client.get("/ledger?period=soon"), 422, "invalid-value")
        assert_problem(service.client.get("/ledger?format=xml"), 422, "invalid-input")


class TestRekey:
    def test_a_rotation_shows_how_far_it_is(self, open_service: Callable[..., Service]) -> None:
        store = MemoryStore()
        former = open_service(store, hash_salt_secret="the former secret of all")
        assert former.client.get("/rekey").json()["state"] == "none"
        former.send(event("ada", TODAY), event("bob", TODAY))
        present = open_service(
            store,
            hash_salt_secret="the present secret of all",
            hash_salt_secret_previous="the former secret of all",
        )
        present.send(event("ada", TODAY))
        assert present.client.get("/rekey").json() == {
            "state": "running",
            "started_on": "2025-11-20",
            "users_done": 1,
            "users_remaining": 1,
            "tombstones_remaining": 0,
            "ends_by": "2026-12-27",
            "next_step": "Leave both secrets set. People move when they are next heard of, and "
            "what is left goes with the retention.",
        }

        assert_problem(former.send(event("bob", TODAY)), 503, "wrong-secret")
        erasure = former.client.post("/erasure", json={"user_id": "bob"})
        assert_problem(erasure, 503, "wrong-secret")
        assert present.client.get("/rekey").json()["users_remaining"] == 1
