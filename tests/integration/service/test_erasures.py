import gzip
import threading
from datetime import date, timedelta
from typing import Any

import pytest

from dpdau.errors import StoreBusyError, StoreFullError
from dpdau.service import context
from support.service import Service, assert_problem, event, ndjson

TODAY = date(2025, 11, 20)
YESTERDAY = TODAY - timedelta(days=1)
JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}


@pytest.mark.parametrize(
    "request_of",
    [
        {"json": {"user_ids": ["ada", "bob"]}},
        {"content": ndjson([{"user_id": "ada"}, {"user_id": "bob"}]), "headers": NDJSON},
        {"content": b'"ada"\n\n"bob"', "headers": NDJSON},
        {
            "content": gzip.compress(b'{"user_ids": ["ada", "bob", "ada"]}'),
            "headers": JSON | {"Content-Encoding": "gzip"},
        },
    ],
)
def test_erased_people_are_gone_from_every_later_release(
    service: Service, request_of: dict[str, Any]
) -> None:
    service.send(*(event(user, YESTERDAY) for user in ("ada", "bob", "eve")))
    answer = service.client.post("/erasure", **request_of)
    assert answer.status_code == 200
    erasure = answer.json()
    assert (erasure["state"], erasure["users"]) == ("done", 2)
    assert service.client.get(f"/erasure/{erasure['erasure_id']}").json() == erasure
    assert service.dau(YESTERDAY) == 1


def test_one_person_may_be_named_alone(service: Service) -> None:
    service.send(event("ada", YESTERDAY), event("bob", YESTERDAY))
    assert service.client.post("/erasure", json={"user_id": "ada"}).json()["users"] == 1
    assert service.dau(YESTERDAY) == 1


def test_an_unknown_person_gets_the_same_answer_as_a_known_one(service: Service) -> None:
    service.send(event("ada", YESTERDAY))
    known, unknown = (
        service.client.post("/erasure", json={"user_id": user}) for user in ("ada", "nobody")
    )
    assert known.status_code == unknown.status_code
    assert {**known.json(), "erasure_id": ""} == {**unknown.json(), "erasure_id": ""}


def test_an_erasure_whose_pages_are_held_is_accepted_and_completed_later(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held() -> None:
        raise StoreBusyError(0)

    service.send(event("ada", YESTERDAY))
    with monkeypatch.context() as patch:
        patch.setattr(service.store, "purge", held)
        answer = service.client.post("/erasure", json={"user_id": "ada"})
    assert answer.status_code == 202
    assert answer.json()["state"] == "received"
    assert service.dau(YESTERDAY) == 0
    service.application.upkeep.run()
    later = service.client.get(f"/erasure/{answer.json()['erasure_id']}").json()
    assert later["state"] == "done"


def test_a_purge_that_takes_long_goes_on_behind_the_answer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, ended = threading.Event(), threading.Event()

    def slow() -> None:
        assert may_end.wait(10)
        ended.set()

    monkeypatch.setattr(context, "_PURGE_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(service.store, "purge", slow)
    answer = service.client.post("/erasure", json={"user_id": "ada"})
    assert (answer.status_code, answer.json()["state"]) == (202, "received")
    may_end.set()
    assert ended.wait(10)
    # Another purge waits for the first one, and finds nothing left to do.
    assert service.application.eraser.finish() == 0
    later = service.client.get(f"/erasure/{answer.json()['erasure_id']}").json()
    assert later["state"] == "done"


def test_an_erasure_stands_when_its_purge_fails(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StoreFullError

    service.send(event("ada", YESTERDAY))
    with monkeypatch.context() as patch:
        patch.setattr(service.store, "purge", fail)
        answer = service.client.post("/erasure", json={"user_id": "ada"})
    assert answer.status_code == 202
    assert service.dau(YESTERDAY) == 0


@pytest.mark.parametrize(
    ("body", "headers", "status", "kind"),
    [
        (b"{", JSON, 400, "malformed-body"),
        (b"", JSON, 400, "malformed-body"),
        (b'{"user_ids": ' + b"[" * 100_000, JSON, 422, "invalid-input"),
        (b'{"user_id": "\xff"}', JSON, 400, "malformed-body"),
        (b"{}", JSON, 422, "invalid-input"),
        (b'{"user_id": "secret-name", "user_ids": ["bob"]}', JSON, 422, "invalid-input"),
        (b'{"user_id": "secret-name", "why": 1}', JSON, 422, "invalid-input"),
        (b'{"user_id": 7}', JSON, 422, "invalid-input"),
        (b'["secret-name"]', JSON, 422, "invalid-input"),
        (b'{"user_ids": []}', JSON, 422, "invalid-value"),
        (b'{"user_id": ""}', JSON, 422, "invalid-value"),
        (b'{"user_id": "' + b"secret-name" * 30 + b'"}', JSON, 422, "invalid-value"),
        (b'"ada"\n{"user": "secret-name"}\n', NDJSON, 422, "invalid-input"),
        (b'"ada"\nsecret-name\n', NDJSON, 400, "malformed-body"),
        (b"", NDJSON, 422, "invalid-value"),
        (b"secret-name", {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
        (b"", {}, 400, "malformed-body"),
    ],
)
def test_a_bad_request_is_a_problem_that_names_nobody_and_erases_nobody(
    service: Service, body: bytes, headers: dict[str, str], status: int, kind: str
) -> None:
    service.send(event("ada", YESTERDAY))
    answer = service.client.post("/erasure", content=body, headers=headers)
    assert_problem(answer, status, kind)
    assert "secret-name" not in answer.text
    assert service.dau(YESTERDAY) == 1


def test_more_people_than_one_erasure_may_name_are_refused(service: Service) -> None:
    answer = service.client.post("/erasure", json={"user_ids": ["ada"] * 100_001})
    assert_problem(answer, 413, "batch-too-large")


def test_an_unknown_erasure_is_a_problem(service: Service) -> None:
    assert_problem(service.client.get("/erasure/none"), 404, "erasure-not-found")
