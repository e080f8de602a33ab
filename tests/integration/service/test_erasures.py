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
        (b'{"user_id": "ada"}', JSON | {"Idempotency-Key": ""}, 422, "invalid-value"),
        (b'{"user_id": "ada"}', JSON | {"Idempotency-Key": '"secret-name'}, 422, "invalid-value"),
        (
            b'{"user_id": "ada"}',
            JSON | {"Idempotency-Key": '"secret-name";v'},
            422,
            "invalid-value",
        ),
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


def test_as_many_people_as_one_erasure_may_name_are_erased_at_once(service: Service) -> None:
    users = [f"user-{number}" for number in range(100_000)]
    service.send(event("user-0", YESTERDAY), event("user-99999", YESTERDAY), event("b", YESTERDAY))
    answer = service.client.post("/erasure", content=ndjson(users), headers=NDJSON)
    assert (answer.status_code, answer.json()["users"]) == (200, 100_000)
    assert service.dau(YESTERDAY) == 1


@pytest.mark.parametrize(
    ("users", "status", "kind"),
    [
        (["ada"] * 100_001, 413, "batch-too-large"),
        (["ada", ""], 422, "invalid-value"),
        (["secret-name" * 30], 422, "invalid-value"),
    ],
)
def test_a_refused_erasure_has_a_record_that_says_why(
    service: Service, users: list[str], status: int, kind: str
) -> None:
    problem = assert_problem(
        service.client.post("/erasure", json={"user_ids": users}), status, kind
    )
    record = service.client.get(f"/erasure/{problem['erasure_id']}")
    assert record.json()["state"] == "refused"
    assert record.json()["refusal"] == problem["detail"]
    assert "secret-name" not in record.text
    receipt = service.client.get(f"/erasure/{problem['erasure_id']}/receipt")
    assert "nobody was erased" in assert_problem(receipt, 409, "erasure-unfinished")["detail"]


@pytest.mark.parametrize(
    ("first", "again"), [("k-1", "k-1"), ("k-1", '"k-1"'), (r'"a \"b\" \\"', r'"a \"b\" \\"')]
)
def test_a_request_sent_again_under_its_key_gets_the_same_answer(
    service: Service, first: str, again: str
) -> None:
    service.send(event("ada", YESTERDAY))
    answers = [
        service.client.post("/erasure", json={"user_id": "ada"}, headers={"Idempotency-Key": key})
        for key in (first, again)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert b"dp_erased_users_total 1.0" in service.client.get("/metrics").content


def test_a_key_sent_again_with_other_people_erases_nobody(service: Service) -> None:
    service.send(event("ada", YESTERDAY), event("bob", YESTERDAY))
    key = {"Idempotency-Key": '"bob@example.com"'}
    service.client.post("/erasure", json={"user_id": "ada"}, headers=key)
    answer = service.client.post("/erasure", json={"user_id": "bob"}, headers=key)
    assert_problem(answer, 422, "request-key-reused")
    assert "bob" not in answer.text
    assert service.dau(YESTERDAY) == 1


def test_a_receipt_says_what_was_removed_where_and_where_the_ledger_was(service: Service) -> None:
    service.send(*(event("ada", TODAY - timedelta(days=offset)) for offset in range(3)))
    service.dau(YESTERDAY)
    erasure = service.client.post("/erasure", json={"user_ids": ["ada", "nobody"]}).json()
    newest = service.client.get("/ledger").json()["rows"][-1]
    answer = service.client.get(f"/erasure/{erasure['erasure_id']}/receipt")
    receipt = answer.json()
    assert receipt["erasure"] == erasure
    assert receipt["days_touched"] == 3
    assert receipt["ledger"] == {"sequence": newest["sequence"], "hash": newest["hash"]}
    until = {each["place"]: each["until"] for each in receipt["kept"]}
    kept_days = timedelta(days=service.configured.retention_days)
    assert until["tombstone"] == until["journal of erasures"] == str(TODAY + kept_days)
    (pseudonym,) = service.application.eraser._pseudonymizer.pseudonyms(["ada"])  # noqa: SLF001
    for secret in ("ada", str(pseudonym), f"{pseudonym:x}"):
        assert secret not in answer.text
    assert "days_touched" not in erasure


def test_an_erasure_that_waits_has_no_receipt_yet(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held() -> None:
        raise StoreBusyError(0)

    monkeypatch.setattr(service.store, "purge", held)
    erasure = service.client.post("/erasure", json={"user_id": "ada"}).json()
    answer = service.client.get(f"/erasure/{erasure['erasure_id']}/receipt")
    assert "not complete" in assert_problem(answer, 409, "erasure-unfinished")["detail"]


@pytest.mark.usefixtures("leaps_are_believed")
def test_tombstones_are_kept_as_long_as_the_receipt_says(service: Service) -> None:
    erasure = service.client.post("/erasure", json={"user_id": "ada"}).json()
    receipt = service.client.get(f"/erasure/{erasure['erasure_id']}/receipt").json()
    until = date.fromisoformat(receipt["kept"][0]["until"])
    for day, kept in ((until, 1), (until + timedelta(days=1), 0)):
        service.clock.advance(days=(day - service.application.calendar.today()).days)
        service.application.upkeep.run()
        with service.store.read() as reader:
            assert len(reader.tombstones()) == kept
        assert len(service.application.eraser._journal._journal.read()) == kept  # noqa: SLF001


def test_operators_see_how_many_requests_were_refused_and_why(service: Service) -> None:
    for body in (b"{", b'{"user_ids": []}', b'{"user_ids": []}'):
        service.client.post("/erasure", content=body, headers=JSON)
    shown = service.client.get("/metrics").text
    assert 'dp_erasures_refused_total{reason="malformed-body"} 1.0' in shown
    assert 'dp_erasures_refused_total{reason="invalid-value"} 2.0' in shown


def test_an_unknown_erasure_is_a_problem(service: Service) -> None:
    assert_problem(service.client.get("/erasure/none"), 404, "erasure-not-found")
