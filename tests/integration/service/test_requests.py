"""What holds for every request, whatever its route."""

import errno
import logging
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
import structlog

from dpdau.logs import configure_logs
from dpdau.service.admission import Admission
from dpdau.service.auth import KeyRing
from dpdau.service.metrics import ServiceMetrics
from dpdau.service.middleware import RequestMiddleware
from dpdau.service.verification import LedgerVerifier
from support.service import Service, assert_problem, event

TODAY = date(2025, 11, 20)
YESTERDAY = TODAY - timedelta(days=1)


class TestIds:
    def test_every_answer_has_an_id_of_its_own(self, service: Service) -> None:
        ids = {service.client.get("/healthz").headers["x-request-id"] for _ in range(10)}
        assert len(ids) == 10

    def test_a_well_formed_id_is_taken_over(self, service: Service) -> None:
        answer = service.client.get("/nowhere", headers={"X-Request-ID": "trace-1.2_3"})
        assert assert_problem(answer, 404, "not-found")["request_id"] == "trace-1.2_3"

    @pytest.mark.parametrize("given", ["", "a b", "x" * 65, "<script>", "é".encode()])
    def test_any_other_id_is_replaced(self, service: Service, given: str | bytes) -> None:
        answer = service.client.get("/healthz", headers=[(b"X-Request-ID", given)])
        assert answer.headers["x-request-id"].isalnum()
        assert len(answer.headers["x-request-id"]) == 32


class TestHeaders:
    @pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/budget", "/openapi.json"])
    def test_answers_are_neither_stored_nor_sniffed_nor_framed(
        self, service: Service, path: str
    ) -> None:
        headers = service.client.get(path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers

    def test_no_page_loads_scripts_from_another_host(self, service: Service) -> None:
        for path in ("/docs", "/redoc"):
            assert_problem(service.client.get(path), 404, "not-found")


class TestProblems:
    def test_an_unknown_path_is_a_problem(self, service: Service) -> None:
        problem = assert_problem(service.client.get("/no where"), 404, "not-found")
        assert problem["instance"] == "/no%20where"

    def test_a_wrong_method_is_a_problem_that_names_the_right_one(self, service: Service) -> None:
        answer = service.client.request("DELETE", "/event")
        assert_problem(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == "POST"

    def test_a_fault_of_the_program_tells_nothing_but_the_id(
        self,
        service: Service,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def fail() -> None:
            raise RuntimeError("user secret-name did it")

        monkeypatch.setattr(service.store, "check", fail)
        answer = service.client.get("/readyz")
        problem = assert_problem(answer, 500, "internal")
        assert "secret-name" not in answer.text
        logged = capsys.readouterr().out
        assert "RuntimeError" in logged
        assert problem["request_id"] in logged
        assert "secret-name" not in logged

    @pytest.mark.parametrize(
        "error",
        [
            MemoryError(),
            OSError(errno.ENOMEM, "Cannot allocate memory"),
            RuntimeError("can't start new thread"),
        ],
    )
    def test_a_lack_of_memory_is_no_fault_of_the_program(
        self, service: Service, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        def fail(*_: object) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(service.application.store, "check", fail)
            answer = service.client.get("/readyz")
        assert "Try again" in assert_problem(answer, 503, "out-of-memory")["detail"]
        assert answer.headers["retry-after"] == "5"
        assert service.client.get("/readyz").status_code == 200

    def test_a_client_that_goes_away_while_sending_is_no_fault(
        self, service: Service, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async def ask() -> list[Any]:
            sent: list[Any] = []

            async def receive() -> dict[str, Any]:
                return {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                sent.append(message)

            scope = {
                "type": "http",
                "method": "POST",
                "path": "/event",
                "query_string": b"",
                "headers": [(b"host", b"localhost")],
                "client": None,
            }
            await service.app(scope, receive, send)
            return sent

        assert service.client.portal.call(ask) == []
        assert "status=499" in capsys.readouterr().out


class TestMiddleware:
    def wrapped(self, service: Service, app: Any) -> RequestMiddleware:
        verifier = LedgerVerifier(service.application)
        metrics = ServiceMetrics(service.application, service.configured, verifier)
        admission = Admission.of(service.configured, KeyRing(()))
        return RequestMiddleware(app, metrics=metrics, admission=admission)

    def run(self, service: Service, app: Any, scope: dict[str, Any]) -> list[Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        service.client.portal.call(self.wrapped(service, app), scope, None, send)
        return sent

    def test_an_answer_that_has_begun_is_not_begun_again(
        self, service: Service, capsys: pytest.CaptureFixture[str]
    ) -> None:
        async def app(_: Any, __: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise RuntimeError

        headers = [(b"host", b"localhost")]
        scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "client": None}
        assert len(self.run(service, app, scope)) == 1
        assert "fault=RuntimeError" in capsys.readouterr().out

    def test_what_is_no_request_passes_untouched(self, service: Service) -> None:
        seen: list[Any] = []

        async def app(scope: Any, _: Any, __: Any) -> None:
            seen.append(scope)

        assert self.run(service, app, {"type": "lifespan"}) == []
        assert seen == [{"type": "lifespan"}]


class TestLogs:
    def test_no_route_takes_an_id_of_a_person_in_its_address(self, service: Service) -> None:
        paths = service.client.get("/openapi.json").json()["paths"]
        named = {
            parameter["name"]
            for item in paths.values()
            for operation in item.values()
            for parameter in operation.get("parameters", [])
            if parameter["in"] in {"path", "query"}
        }
        assert not [name for name in named if "user_id" in name or "person" in name]
        # Of what has an id in its address, none is a person.
        assert {name for name in named if name.endswith("_id")} == {"erasure_id", "release_id"}

    def test_neither_tracer_nor_meter_is_told_of_a_request(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []
        for kind, provider in (("trace", "tracer"), ("metrics", "meter")):
            source = f"opentelemetry.{kind}.get_{provider}_provider"
            monkeypatch.setattr(source, lambda provider=provider: asked.append(provider))
        assert service.client.get("/healthz").status_code == 200
        assert asked == []

    def test_a_line_names_the_route_and_no_one(
        self, service: Service, capsys: pytest.CaptureFixture[str]
    ) -> None:
        service.send(event("secret-name", YESTERDAY), partial="secret-query")
        service.client.post("/erasure", json={"user_id": "secret-name"})
        service.client.post("/erasure", json={"user_id": "secret-name" * 30})
        service.client.get("/erasure/secret-name?secret-query=1")
        service.client.get("/secret-name")
        logged = capsys.readouterr().out
        assert "route=/event " in logged
        assert "route=/erasure/{erasure_id} " in logged
        assert "route=unmatched " in logged
        assert "secret" not in logged

    @pytest.mark.parametrize(("log_format", "start"), [("json", "{"), ("console", "2")])
    def test_lines_of_this_program_and_of_others_have_one_format(
        self,
        open_service: Callable[..., Service],
        capsys: pytest.CaptureFixture[str],
        log_format: str,
        start: str,
    ) -> None:
        service = open_service(log_format=log_format, log_level="warning")
        root = logging.getLogger()
        handlers, level = root.handlers, root.level
        try:
            configure_logs(service.configured)
            structlog.get_logger("own").warning("one", number=1)
            structlog.get_logger("own").info("quiet")
            logging.getLogger("other").warning("two")
        finally:
            root.handlers, root.level = handlers, level
            structlog.reset_defaults()
        lines = capsys.readouterr().err.splitlines()
        assert [line[0] for line in lines] == [start, start]
        assert "one" in lines[0]
        assert "two" in lines[1]
