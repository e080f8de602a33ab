from collections.abc import Callable
from typing import Any

import pytest

from dpdau.errors import ForbiddenError, UnauthorizedError
from dpdau.service.auth import KeyRing, Scope
from support.service import Service, assert_problem, operations, status

KEYS = {
    "service_api_key": "service-key-0123456789",
    "ingest_api_key": "ingest-key-0123456789",
    "read_api_key": "read-key-0123456789",
    "admin_api_key": "admin-key-0123456789",
}
SCOPES = {
    ("POST", "/event"): "ingest",
    ("POST", "/erasure"): "ingest",
    ("GET", "/erasure/{erasure_id}"): "ingest",
    ("GET", "/erasure/{erasure_id}/receipt"): "admin",
    ("GET", "/dau/{day}"): "read",
    ("GET", "/mau"): "read",
    ("GET", "/series/{metric}"): "read",
    ("GET", "/releases/{release_id}"): "read",
    ("GET", "/releases/{release_id}/explain"): "read",
    ("GET", "/plan"): "read",
    ("GET", "/plan/{metric}/{period}"): "read",
    ("GET", "/budget"): "read",
    ("GET", "/budget/{metric}"): "read",
    ("POST", "/budget/{metric}/cap"): "admin",
    ("POST", "/publish"): "admin",
    ("POST", "/revise"): "admin",
    ("GET", "/ledger"): "admin",
    ("GET", "/ledger/verify"): "admin",
    ("GET", "/rekey"): "admin",
    ("POST", "/ledger/acknowledge"): "admin",
    ("GET", "/metrics"): "admin",
    ("GET", "/stickiness"): "read",
    ("GET", "/operations"): "admin",
    ("GET", "/whoami"): None,
    ("GET", "/"): None,
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
}


def test_every_operation_has_its_scope(service: Service) -> None:
    assert set(operations(service)) == SCOPES.keys()


@pytest.mark.parametrize("name", KEYS)
def test_each_key_opens_the_routes_of_its_scope_and_no_other(
    open_service: Callable[..., Service], name: str
) -> None:
    service = open_service(**KEYS)
    own = name.removesuffix("_api_key")
    for operation, scope in SCOPES.items():
        found = status(service, operation, {"X-API-Key": KEYS[name]})
        if scope is None or own in (scope, "service"):
            assert found not in {401, 403}, operation
        else:
            assert found == 403, operation


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "service-key-012345678"},
        {"X-API-Key": "wrong", "Authorization": f"Bearer {KEYS['service_api_key']}"},
        {"X-API-Key": "clé".encode("latin-1")},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {KEYS['service_api_key']}"},
    ],
)
def test_no_key_and_a_wrong_key_open_nothing(
    open_service: Callable[..., Service], headers: dict[str, str | bytes]
) -> None:
    service = open_service(**KEYS)
    for operation, scope in SCOPES.items():
        if operation != ("GET", "/whoami"):  # which tells who sends no key that they may nothing
            assert (status(service, operation, headers) == 401) == (scope is not None), operation


def test_a_key_may_come_as_a_bearer_token(open_service: Callable[..., Service]) -> None:
    service = open_service(**KEYS)
    headers = {"Authorization": f"Bearer {KEYS['read_api_key']}"}
    assert service.client.get("/budget", headers=headers).status_code == 200


def test_refusals_are_problems_that_say_what_to_do(open_service: Callable[..., Service]) -> None:
    service = open_service(**KEYS)
    missing = service.client.get("/budget")
    assert "X-API-Key" in assert_problem(missing, 401, "unauthorized")["detail"]
    assert missing.headers["www-authenticate"] == "Bearer"
    other = service.client.get("/ledger", headers={"X-API-Key": KEYS["read_api_key"]})
    assert assert_problem(other, 403, "forbidden")["scope"] == "admin"


def test_a_wrong_key_is_refused_before_the_body_is_read(
    open_service: Callable[..., Service],
) -> None:
    read: list[int] = []

    async def pieces() -> Any:
        read.append(1)
        yield b"{}"

    service = open_service(**KEYS)
    assert_problem(service.client.post("/event", content=pieces()), 401, "unauthorized")
    assert read == []


def test_without_keys_everything_is_open(service: Service) -> None:
    for operation in SCOPES:
        assert status(service, operation, {}) not in {401, 403}


def test_one_key_alone_closes_all_other_scopes(open_service: Callable[..., Service]) -> None:
    service = open_service(read_api_key=KEYS["read_api_key"])
    assert status(service, ("GET", "/metrics"), {}) == 401
    assert status(service, ("GET", "/metrics"), {"X-API-Key": KEYS["read_api_key"]}) == 403


class TestKeyRing:
    def ring(self, open_service: Callable[..., Service]) -> KeyRing:
        return KeyRing.of(open_service(**KEYS).configured)

    def test_keys_do_not_show_in_its_text(self, open_service: Callable[..., Service]) -> None:
        assert repr(self.ring(open_service)) == "KeyRing()"

    def test_every_digest_is_compared_every_time(
        self, open_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        compared: list[bytes] = []

        def compare(_: bytes, known: bytes) -> bool:
            compared.append(known)
            return True

        ring = self.ring(open_service)
        monkeypatch.setattr("hmac.compare_digest", compare)
        ring.require(KEYS["service_api_key"], Scope.READ)
        assert compared == [known for known, _ in ring.grants]
        monkeypatch.setattr("hmac.compare_digest", lambda *_: False)
        with pytest.raises(UnauthorizedError):
            ring.require(KEYS["service_api_key"], Scope.READ)

    def test_a_scope_that_was_not_granted_is_forbidden(
        self, open_service: Callable[..., Service]
    ) -> None:
        with pytest.raises(ForbiddenError, match="admin"):
            self.ring(open_service).require(KEYS["read_api_key"], Scope.ADMIN)
