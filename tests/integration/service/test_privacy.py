"""What a reader can learn from answers: nothing of the data except through noise.

The same requests are sent to two services whose data differ by one user's whole stream. Whatever
is not noisy must be equal, to the byte.
"""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from support.service import NOISY_FIELDS, Service, event

TODAY = date(2025, 11, 20)
YESTERDAY = TODAY - timedelta(days=1)
RANDOM = {"erasure_id", "request_id"}
PER_RELEASE = {
    "mechanism_dau": "laplace",
    "mechanism_mau": "gaussian",
    "epsilon_dau": 0.5,
    "epsilon_mau": 0.5,
    "dau_budget_total": 1.2,
    "mau_budget_total": 1.2,
}
CONTINUAL = {
    "mechanism_dau": "continual",
    "mechanism_mau": "continual",
    "w_bound_mau": "unbounded",
    "epsilon_dau": 0.3,
    "epsilon_mau": 0.3,
    "dau_budget_total": 3.0,
    "mau_budget_total": 3.5,
}


def without_noise(answer: Any) -> Any:
    if isinstance(answer, dict):
        return {
            name: without_noise(value)
            for name, value in answer.items()
            if name not in NOISY_FIELDS | RANDOM
        }
    return [without_noise(value) for value in answer] if isinstance(answer, list) else answer


def questions(service: Service) -> list[tuple[int, dict[str, str], Any]]:
    """Everything that ingesters and readers can ask, and what they were told."""
    client = service.client
    erased = client.post("/erasure", json={"user_id": "target"})
    answers = [
        erased,
        client.get(f"/erasure/{erased.json()['erasure_id']}"),
        client.post("/erasure", json={"user_ids": ["target", "ada", "nobody"]}),
        service.send(event("target", YESTERDAY), event("nobody", YESTERDAY, "-")),
        service.send(event("target", YESTERDAY), event("", YESTERDAY), partial=True),
        service.send(event("target", YESTERDAY), event("", YESTERDAY)),
        client.get(f"/dau/{YESTERDAY}"),
        client.get(f"/dau/{YESTERDAY - timedelta(days=1)}"),
        client.get(f"/dau/{YESTERDAY - timedelta(days=2)}"),
        client.get(f"/dau/{YESTERDAY}"),
        client.get(f"/dau/{TODAY}"),
        client.get(f"/mau?end={YESTERDAY}"),
        client.get(f"/mau?end={YESTERDAY}&window=7"),
        client.get(f"/mau?end={YESTERDAY}&window=8"),
        client.get("/mau?window=400"),
        client.get("/series/dau"),
        client.get("/series/mau?window=7"),
        client.get("/series/mau"),
        client.get("/plan/dau/2025-11"),
        client.get("/budget/dau"),
        client.get("/budget/mau"),
        client.get("/budget"),
        client.get("/erasure/none"),
        client.get("/readyz"),
        client.get("/openapi.json"),
    ]
    varying = {"x-request-id", "content-length"}
    return [
        (
            answer.status_code,
            {name: value for name, value in answer.headers.items() if name not in varying},
            without_noise(answer.json()),
        )
        for answer in answers
    ]


@pytest.mark.parametrize("settings", [PER_RELEASE, CONTINUAL])
def test_answers_on_neighbouring_data_differ_in_noisy_fields_only(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    others = [event(user, YESTERDAY) for user in ("ada", "bob", "eve")]
    stream = [event("target", YESTERDAY - timedelta(days=offset)) for offset in range(60)]
    told = []
    for name, data in (("with", [*others, *stream]), ("without", others)):
        with Service(tmp_path / name, settings) as service:
            service.send(*data)
            told.append(questions(service))
    for with_target, without_target in zip(*told, strict=True):
        assert with_target == without_target


def test_what_is_compared_are_real_answers(tmp_path: Path) -> None:
    with Service(tmp_path, PER_RELEASE) as service:
        statuses = [status for status, _, _ in questions(service)]
    assert {200, 404, 409, 422, 429} == set(statuses)
