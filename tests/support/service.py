"""The HTTP service around a product whose clock stands still, and what its answers must be."""

import json
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Self

from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response

from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import Settings, load_settings
from dpdau.pipeline.ports import Store
from dpdau.service import create_app
from dpdau.store import MemoryStore
from support.builders import EXACT, FakeClock

__all__ = [
    "NOISY_FIELDS",
    "Client",
    "Service",
    "assert_problem",
    "event",
    "ndjson",
    "operations",
    "status",
]

NOISY_FIELDS = {
    "estimate",
    "estimate_raw",
    "lower_95",
    "upper_95",
    "band_lower_95",
    "band_upper_95",
}
"""Where the data shows in an answer, through noise."""

STANDARD_MEMBERS = {"type", "title", "status", "detail", "instance", "request_id"}


@dataclass(frozen=True)
class Client:
    """Asks an app that runs on an event loop of its own; may be used by several threads."""

    portal: BlockingPortal
    client: AsyncClient

    def request(self, method: str, path: str, **options: Any) -> Response:
        return self.portal.call(partial(self.client.request, method, path, **options))

    def get(self, path: str, **options: Any) -> Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> Response:
        return self.request("POST", path, **options)


@dataclass
class Service(AbstractContextManager["Service"]):
    """A running service without a network; noise is zero unless settings say otherwise."""

    data_dir: Path
    settings: dict[str, Any] = field(default_factory=dict)
    store: Store = field(default_factory=MemoryStore)
    clock: FakeClock = field(default_factory=FakeClock)
    application: Application = field(init=False)
    configured: Settings = field(init=False)
    app: FastAPI = field(init=False)
    client: Client = field(init=False)
    _opened: ExitStack = field(init=False, default_factory=ExitStack)

    def __enter__(self) -> Self:
        given = {"lateness_hours": 0, **EXACT, **self.settings}
        self.configured = load_settings(data_dir=self.data_dir, **given)
        self.application = self._opened.enter_context(
            build(self.configured, store=self.store, clock=self.clock)
        )
        self.app = create_app(self.application, self.configured, upkeep_seconds=3_600)
        portal = self._opened.enter_context(start_blocking_portal())
        lifespan = self.app.router.lifespan_context(self.app)
        self._opened.enter_context(portal.wrap_async_context_manager(lifespan))
        self.client = Client(portal, self.asynchronous_client())
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def asynchronous_client(self) -> AsyncClient:
        """A client for tests that run on an event loop themselves."""
        return AsyncClient(transport=ASGITransport(self.app), base_url="http://localhost")

    def send(self, *events: dict[str, Any], **query: Any) -> Any:
        """Post events as one JSON batch."""
        return self.client.post("/event", json={"events": list(events)}, params=query)

    def dau(self, day: date) -> int:
        """The estimate of a closed day."""
        answer = self.client.get(f"/dau/{day}")
        assert answer.status_code == 200, answer.text
        estimate: int = answer.json()["estimate"]
        return estimate


def operations(service: Service) -> list[tuple[str, str]]:
    paths = service.client.get("/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, item in paths.items() for method in item]


def status(service: Service, operation: tuple[str, str], headers: Any) -> int:
    method, template = operation
    unknown = {"erasure_id": "none", "release_id": "none", "metric": "wau"}
    path = template.format(**unknown, day="soon", period="soon")
    return service.client.request(method, path, headers=headers).status_code


def event(user_id: str, day: date | str, op: str = "+", **fields: Any) -> dict[str, Any]:
    return {"user_id": user_id, "op": op, "day": str(day), **fields}


def ndjson(rows: Iterable[Any]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def assert_problem(response: Any, status: int, kind: str) -> dict[str, Any]:
    """The problem object of an answer, checked to be of the one shape."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert problem.keys() >= STANDARD_MEMBERS
    assert problem["type"] == kind
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"].endswith((".", "?"))
    assert problem["request_id"] == response.headers["x-request-id"]
    return problem
