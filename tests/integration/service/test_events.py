import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Callable
from datetime import date, timedelta
from typing import Any

import pytest
import zstandard
from httpx import AsyncClient, Response

from dpdau.errors import StoreFullError
from dpdau.formats import MEDIA_TYPES
from dpdau.service.routes.events import EventsAccepted
from dpdau.store import MemoryStore
from support.service import Service, assert_problem, event, ndjson

TODAY = date(2025, 11, 20)
YESTERDAY = TODAY - timedelta(days=1)
JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}


class TestAcceptedBatches:
    def test_events_are_counted_on_their_day(self, service: Service) -> None:
        answer = service.send(
            event("ada", YESTERDAY),
            event("bob", YESTERDAY),
            {"user_id": "eve", "op": "+", "ts": f"{YESTERDAY}T23:59:59Z"},
            event("bob", YESTERDAY, "-"),
        )
        assert answer.status_code == 200
        assert answer.json() == {"accepted": 4, "rejected": 0, "errors": []}
        assert service.dau(YESTERDAY) == 2

    def test_an_answer_is_the_documented_model_byte_for_byte(self, service: Service) -> None:
        good, bad = event("ada", YESTERDAY), event("bob", "2025-02-30")
        for answer in (service.send(good, good), service.send(good, bad, "no event", partial=True)):
            model = EventsAccepted.model_validate(answer.json())
            assert answer.content == model.model_dump_json().encode()
            assert answer.headers["content-type"] == "application/json"
        assert service.send(good, good).content == b'{"accepted":2,"rejected":0,"errors":[]}'

    def test_a_batch_that_is_sent_again_changes_nothing(self, service: Service) -> None:
        batch = [event("ada", YESTERDAY), event("bob", YESTERDAY), event("bob", YESTERDAY, "-")]
        for _ in range(3):
            assert service.send(*batch).json()["accepted"] == 3
        assert service.dau(YESTERDAY) == 1

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            ("application/x-ndjson", ndjson([event("ada", YESTERDAY), event("bob", YESTERDAY)])),
            ("text/csv", f"user_id,op,day\nada,+,{YESTERDAY}\nbob,+,{YESTERDAY}\n".encode()),
            (
                "application/json; charset=utf-8",
                b'{"events": ['
                + b",".join(ndjson([event(user, YESTERDAY)]) for user in ("ada", "bob"))
                + b"]}",
            ),
        ],
    )
    @pytest.mark.parametrize(
        ("encoding", "compress"),
        [("identity", bytes), ("gzip", gzip.compress), ("zstd", zstandard.compress)],
    )
    def test_every_format_and_encoding_is_understood(
        self,
        service: Service,
        content_type: str,
        body: bytes,
        encoding: str,
        compress: Callable[[bytes], bytes],
    ) -> None:
        headers = {"Content-Type": content_type, "Content-Encoding": encoding}
        answer = service.client.post("/event", content=compress(body), headers=headers)
        assert answer.json() == {"accepted": 2, "rejected": 0, "errors": []}
        assert service.dau(YESTERDAY) == 2

    def test_every_format_is_documented(self, service: Service) -> None:
        paths = service.client.get("/openapi.json").json()["paths"]
        assert set(paths["/event"]["post"]["requestBody"]["content"]) == set(MEDIA_TYPES)

    def test_parquet_is_for_files_only(self, service: Service) -> None:
        headers = {"Content-Type": "application/vnd.apache.parquet"}
        answer = service.client.post("/event", content=b"PAR1", headers=headers)
        assert_problem(answer, 415, "unsupported-media-type")

    def test_an_empty_batch_is_accepted(self, service: Service) -> None:
        assert service.send().json() == {"accepted": 0, "rejected": 0, "errors": []}

    def test_a_large_batch_is_decoded_beside_the_event_loop(self, service: Service) -> None:
        batch = [event(f"user-{number}", YESTERDAY) for number in range(2_000)]
        assert service.send(*batch).json()["accepted"] == 2_000
        assert service.dau(YESTERDAY) == 2_000

    def test_events_of_erased_people_are_acknowledged_like_others(self, service: Service) -> None:
        service.send(event("ada", YESTERDAY))
        service.client.post("/erasure", json={"user_id": "ada"})
        late = service.send(event("ada", YESTERDAY), event("bob", YESTERDAY))
        assert late.json() == {"accepted": 2, "rejected": 0, "errors": []}
        assert service.dau(YESTERDAY) == 1


class TestRefusedBatches:
    def bad_batch(self) -> list[Any]:
        return [
            event("ada", YESTERDAY),
            event("", YESTERDAY),
            event("x" * 257, YESTERDAY),
            event("é" * 129, YESTERDAY),
            event("bob", YESTERDAY, "*"),
            event("bob", "1999-01-01"),
            event("bob", TODAY + timedelta(days=2)),
            event("bob", "2025-02-30"),
            {"user_id": 7, "op": "+", "day": str(YESTERDAY)},
            {"user_id": "bob", "op": "+"},
            "no event",
            event("eve", YESTERDAY),
        ]

    def test_one_bad_event_refuses_the_batch_and_every_one_has_its_reason(
        self, service: Service
    ) -> None:
        problem = assert_problem(service.send(*self.bad_batch()), 422, "events-refused")
        assert [each["index"] for each in problem["errors"]] == list(range(1, 11))
        assert all(each["reason"] for each in problem["errors"])
        assert service.dau(YESTERDAY) == 0

    def test_partial_keeps_the_good_events(self, service: Service) -> None:
        answer = service.send(*self.bad_batch(), partial=True)
        assert answer.status_code == 200
        assert answer.json()["accepted"] == 2
        assert answer.json()["rejected"] == 10
        assert [each["index"] for each in answer.json()["errors"]] == list(range(1, 11))
        assert service.dau(YESTERDAY) == 2

    @pytest.mark.parametrize(
        ("headers", "body", "status", "kind"),
        [
            (JSON, b'{"events": [', 400, "malformed-body"),
            (JSON, b"\xff\xfe", 400, "malformed-body"),
            (JSON, b"", 400, "malformed-body"),
            (JSON, b"[]", 400, "malformed-body"),
            (JSON, b"[" * 100_000, 400, "malformed-body"),
            (JSON | {"Content-Encoding": "gzip"}, b"no gzip", 400, "malformed-body"),
            (JSON | {"Content-Encoding": "br"}, b"{}", 415, "unsupported-media-type"),
            ({"Content-Type": "application/xml"}, b"<a/>", 415, "unsupported-media-type"),
            ({}, b"{}", 400, "malformed-body"),
            (
                {"Content-Type": "application/x-www-form-urlencoded"},
                b"a=b",
                415,
                "unsupported-media-type",
            ),
        ],
    )
    def test_a_body_that_is_not_what_it_claims_is_a_problem(
        self, service: Service, headers: dict[str, str], body: bytes, status: int, kind: str
    ) -> None:
        assert_problem(service.client.post("/event", content=body, headers=headers), status, kind)

    def test_a_wrong_query_is_one_readable_sentence(self, service: Service) -> None:
        problem = assert_problem(service.send(partial="perhaps"), 422, "invalid-input")
        assert problem["detail"].startswith("partial: ")
        assert problem["errors"][0]["parameter"] == "partial"
        assert "perhaps" not in problem["detail"]


class TestLimits:
    def test_more_events_than_allowed_are_refused(
        self, open_service: Callable[..., Service]
    ) -> None:
        service = open_service(max_batch_events=3)
        batch = [event(f"user-{number}", YESTERDAY) for number in range(4)]
        problem = assert_problem(service.send(*batch), 413, "batch-too-large")
        assert "MAX_BATCH_EVENTS" in problem["detail"]
        assert service.send(*batch[:3]).json()["accepted"] == 3

    def test_a_body_longer_than_allowed_is_refused(
        self, open_service: Callable[..., Service]
    ) -> None:
        service = open_service(max_body_bytes=1_024)
        answer = service.client.post("/event", content=b" " * 1_025, headers=JSON)
        assert_problem(answer, 413, "batch-too-large")

    def test_a_body_of_unknown_length_is_read_up_to_the_limit_only(
        self, open_service: Callable[..., Service]
    ) -> None:
        service = open_service(max_body_bytes=1_024)

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(8):
                yield b" " * 1_000

        answer = service.client.post("/event", content=pieces(), headers=JSON)
        assert_problem(answer, 413, "batch-too-large")

    @pytest.mark.parametrize(
        ("encoding", "compress"), [("gzip", gzip.compress), ("zstd", zstandard.compress)]
    )
    def test_a_body_that_unpacks_beyond_the_limit_is_refused(
        self,
        open_service: Callable[..., Service],
        encoding: str,
        compress: Callable[[bytes], bytes],
    ) -> None:
        service = open_service(max_body_bytes=10_000)
        bomb = compress(b" " * 5_000_000)
        assert len(bomb) < 10_000
        headers = NDJSON | {"Content-Encoding": encoding}
        answer = service.client.post("/event", content=bomb, headers=headers)
        assert_problem(answer, 413, "batch-too-large")

    def test_a_batch_is_turned_away_while_too_many_events_wait(
        self, open_service: Callable[..., Service]
    ) -> None:
        store = HeldStore()
        service = open_service(store, max_waiting_events=3)
        store.hold()
        answers: list[Any] = []
        first = threading.Thread(
            target=lambda: answers.append(service.send(*[event("ada", YESTERDAY)] * 3))
        )
        first.start()
        store.reached.wait(10)
        refused = service.send(event("bob", YESTERDAY))
        assert assert_problem(refused, 503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        store.proceed.set()
        first.join()
        assert answers[0].json()["accepted"] == 3
        assert service.send(event("bob", YESTERDAY)).json()["accepted"] == 1


class TestWaitingRequests:
    """Behind a commit that is held, so that all of them share the next one."""

    async def waiting(
        self, store: "HeldStore", service: Service, session: AsyncClient, count: int
    ) -> list["asyncio.Task[Response]"]:
        """Requests of one event each that wait, the first in a commit of its own."""
        writer = service.app.state.context.writer
        submit, submitted = writer.submit, asyncio.Semaphore(0)

        def noticed(*arguments: Any) -> None:
            submit(*arguments)
            submitted.release()

        writer.submit = noticed
        store.hold()
        tasks = []
        for number in range(count):
            body = {"events": [event(f"user-{number}", YESTERDAY)]}
            tasks.append(asyncio.create_task(session.post("/event", json=body)))
            await asyncio.wait_for(submitted.acquire(), 10)
            assert await asyncio.to_thread(store.reached.wait, 10)
        return tasks

    @pytest.mark.anyio
    async def test_everyone_hears_of_a_commit_that_fails(
        self, open_service: Callable[..., Service]
    ) -> None:
        store = HeldStore()
        service = open_service(store)
        async with service.asynchronous_client() as session:
            tasks = await self.waiting(store, service, session, 5)
            store.failure = StoreFullError()
            store.proceed.set()
            answers = await asyncio.wait_for(asyncio.gather(*tasks), 10)
        for answer in answers:
            assert_problem(answer, 507, "store-full")
        store.failure = None
        assert await asyncio.to_thread(service.dau, YESTERDAY) == 0

    @pytest.mark.anyio
    async def test_who_goes_away_stops_neither_the_batch_nor_the_others(
        self, open_service: Callable[..., Service]
    ) -> None:
        store = HeldStore()
        service = open_service(store)
        async with service.asynchronous_client() as session:
            _, gone, *others = tasks = await self.waiting(store, service, session, 4)
            gone.cancel()
            await asyncio.wait({gone}, timeout=10)
            assert gone.cancelled()
            store.proceed.set()
            answers = await asyncio.wait_for(asyncio.gather(tasks[0], *others), 10)
        assert [answer.status_code for answer in answers] == [200] * 3
        assert await asyncio.to_thread(service.dau, YESTERDAY) == 4


class HeldStore(MemoryStore):
    """A store whose writes wait to be let through once it is held."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.proceed = threading.Event(), threading.Event()
        self.proceed.set()
        self.failure: Exception | None = None

    def hold(self) -> None:
        self.proceed.clear()

    def write(self, *, shared: bool = False) -> Any:
        if not self.proceed.is_set():
            self.reached.set()
            assert self.proceed.wait(10)
        if self.failure is not None:
            raise self.failure
        return super().write(shared=shared)
