"""What a web page in the operator's browser can do to a service without keys: nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from support.service import Service, assert_problem, event, operations, status

HOST = {"Host": "localhost:8000"}
REBOUND = {"Host": "attacker.example:8000"}
ALWAYS_ANSWERED = {("GET", "/healthz"), ("GET", "/readyz")}
PAGE = ("GET", "/")
KEYS = {"service_api_key": "service-key-0123456789", "read_api_key": "read-key-0123456789"}


def from_site(site: str, **headers: str) -> dict[str, str]:
    return {**HOST, "Sec-Fetch-Site": site, **headers}


class TestRebinding:
    def test_no_route_answers_for_another_name(self, service: Service) -> None:
        for operation in set(operations(service)) - ALWAYS_ANSWERED:
            assert status(service, operation, REBOUND) == 421, operation

    @pytest.mark.parametrize(
        "host",
        [
            *("localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.8.9.1", "[::1]:8000", "[::1]"),
        ],
    )
    def test_this_machine_s_own_names_are_answered(self, service: Service, host: str) -> None:
        assert service.client.get("/budget", headers={"Host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host",
        [
            *("", "localhost.attacker.example", "127.0.0.1.attacker.example", "localhost@attacker"),
            *("attacker#localhost", "10.0.0.1", "0.0.0.0", "[::2]", "[::1", "localhost:port", "é"),  # noqa: S104 - not bound to
            "localhost:8000:8000",
        ],
    )
    def test_what_only_looks_like_them_is_refused(self, service: Service, host: str) -> None:
        answer = service.client.get("/budget", headers=[(b"Host", host.encode("latin-1"))])
        problem = assert_problem(answer, 421, "host-refused")
        assert "ALLOWED_HOSTS" in problem["detail"]
        assert not host or host not in problem["detail"]

    def test_two_hosts_are_as_bad_as_none(self, service: Service) -> None:
        hosts = [(b"Host", b"localhost"), (b"Host", b"attacker.example")]
        assert_problem(service.client.get("/budget", headers=hosts), 421, "host-refused")

    def test_names_can_be_allowed(self, open_service: Callable[..., Service]) -> None:
        service = open_service(allowed_hosts="Counter.example, other.example")
        for host in ("counter.example", "OTHER.example:80", "localhost"):
            assert service.client.get("/budget", headers={"Host": host}).status_code == 200
        assert_problem(service.client.get("/budget", headers=REBOUND), 421, "host-refused")

    def test_with_keys_any_name_goes_unless_names_are_given(
        self, open_service: Callable[..., Service]
    ) -> None:
        headers = {**REBOUND, "X-API-Key": KEYS["service_api_key"]}
        assert open_service(**KEYS).client.get("/budget", headers=headers).status_code == 200
        named = open_service(**KEYS, allowed_hosts="counter.example")
        assert_problem(named.client.get("/budget", headers=headers), 421, "host-refused")

    def test_health_is_told_under_any_name(self, service: Service) -> None:
        for _, path in ALWAYS_ANSWERED:
            assert service.client.get(path, headers=REBOUND).status_code == 200


class TestOtherSites:
    @pytest.mark.parametrize(
        "headers",
        [
            from_site("cross-site"),
            from_site("same-site"),
            {**HOST, "Origin": "https://attacker.example"},
            {**HOST, "Origin": "http://localhost:3000"},
            {**HOST, "Origin": "http://127.0.0.1:8000"},
            {**HOST, "Origin": "null"},
        ],
    )
    def test_no_route_answers_their_pages(self, service: Service, headers: dict[str, str]) -> None:
        for operation in set(operations(service)) - ALWAYS_ANSWERED - {PAGE}:
            assert status(service, operation, headers) == 403, operation

    def test_a_form_of_another_site_erases_nobody(self, service: Service) -> None:
        service.send(event("ada", "2025-11-19"))
        answer = service.client.post(
            "/erasure",
            content=b'{"user_id": "ada"}',
            headers=from_site("cross-site", **{"Content-Type": "text/plain"}),
        )
        assert "SERVICE_API_KEY" in assert_problem(answer, 403, "cross-site")["detail"]
        with service.application.store.read() as reader:
            assert reader.erasures() == []

    def test_an_image_of_another_site_spends_no_budget(self, service: Service) -> None:
        path = "/mau?end=2025-11-19&window=7"
        assert_problem(service.client.get(path, headers=from_site("cross-site")), 403, "cross-site")
        assert service.application.ledger() == []

    @pytest.mark.parametrize(
        "headers",
        [
            HOST,
            from_site("none"),
            from_site("same-origin"),
            from_site("same-origin", Origin="http://localhost:8000"),
            from_site("same-origin", Origin="HTTP://LOCALHOST:8000"),
        ],
    )
    def test_programs_and_own_pages_are_answered(
        self, service: Service, headers: dict[str, str]
    ) -> None:
        assert service.client.post("/publish", headers=headers).status_code == 200

    def test_a_link_may_lead_to_the_dashboard(self, service: Service) -> None:
        answer = service.client.get("/", headers=from_site("cross-site"))
        assert answer.status_code == 200
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"

    def test_no_site_is_told_that_it_may_read(self, service: Service) -> None:
        asked = {**HOST, "Origin": "http://localhost:8000", "Access-Control-Request-Method": "POST"}
        for method, path in operations(service):
            answer = service.client.request("OPTIONS", path, headers=asked)
            assert answer.status_code in {404, 405}, (method, path)
            assert not [name for name in answer.headers if name.startswith("access-control")]

    def test_with_keys_a_page_that_has_one_is_answered(
        self, open_service: Callable[..., Service]
    ) -> None:
        headers: Any = from_site("cross-site", **{"X-API-Key": KEYS["read_api_key"]})
        assert open_service(**KEYS).client.get("/budget", headers=headers).status_code == 200
