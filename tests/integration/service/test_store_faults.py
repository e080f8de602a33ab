import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from httpx import Response

from dpdau.errors import (
    StoreBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
)
from dpdau.store import MemoryStore, SqliteStore
from support.service import Service, assert_problem, event

YESTERDAY = date(2025, 11, 19)
SECRET_PATH = Path("/srv/secret-place/dpdau.sqlite3")


@dataclass(frozen=True)
class Fault:
    """A fault of the store, and how the service tells it."""

    error: StoreError
    status: int
    kind: str
    retry_after: str | None

    def check(self, answer: Response) -> None:
        assert_problem(answer, self.status, self.kind)
        assert answer.headers.get("retry-after") == self.retry_after
        assert "secret" not in answer.text


FAULTS = [
    Fault(StoreReadOnlyError(SECRET_PATH), 503, "store-read-only", "30"),
    Fault(StoreFullError(), 507, "store-full", None),
    Fault(StoreBusyError(1), 503, "store-busy", "2"),
    Fault(StoreCorruptError(SECRET_PATH, "secret"), 503, "store-corrupt", "30"),
    Fault(StoreError(f"{SECRET_PATH} could not be used."), 503, "store-unavailable", "30"),
]


class FailingStore(MemoryStore):
    """A store that fails to read or write while it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: StoreError | None = None
        self.reads = True

    def read(self) -> Any:
        if self.fault is not None and not self.reads:
            raise self.fault
        return super().read()

    def write(self, *, shared: bool = False) -> Any:
        if self.fault is not None:
            raise self.fault
        return super().write(shared=shared)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind)
def test_a_fault_while_writing_is_a_problem_and_the_batch_can_be_sent_again(
    open_service: Callable[..., Service], fault: Fault
) -> None:
    store = FailingStore()
    service = open_service(store)
    service.client.get("/readyz")
    store.fault = fault.error
    for answer in (
        service.send(event("ada", YESTERDAY)),
        service.client.post("/erasure", json={"user_id": "ada"}),
        service.client.get(f"/dau/{YESTERDAY}"),
    ):
        fault.check(answer)
    store.fault = None
    assert service.send(event("ada", YESTERDAY)).json()["accepted"] == 1
    assert service.dau(YESTERDAY) == 1


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind)
def test_a_fault_while_reading_makes_the_service_unready_and_not_dead(
    open_service: Callable[..., Service], fault: Fault
) -> None:
    store = FailingStore()
    service = open_service(store)
    assert service.client.get("/readyz").json() == {"status": "ready"}
    store.fault, store.reads = fault.error, False
    fault.check(service.client.get("/readyz"))
    assert service.client.get("/healthz").json() == {"status": "ok"}


def test_a_store_that_another_process_locks_is_busy_until_it_is_free(
    open_service: Callable[..., Service], tmp_path: Path
) -> None:
    path = tmp_path / "other" / "dpdau.sqlite3"
    service = open_service(SqliteStore(path, busy_timeout_seconds=0.05))
    service.application.upkeep.run()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = service.send(event("ada", YESTERDAY))
        assert_problem(answer, 503, "store-busy")
        assert answer.headers["retry-after"] == "2"
        other.execute("ROLLBACK")
    assert service.send(event("ada", YESTERDAY)).json()["accepted"] == 1
    assert service.dau(YESTERDAY) == 1


def test_a_dead_writer_makes_the_service_unready(service: Service) -> None:
    service.app.state.context.writer.close()
    assert_problem(service.client.get("/readyz"), 503, "store-unavailable")
    assert_problem(service.send(event("ada", YESTERDAY)), 503, "overloaded")


def test_a_damaged_ledger_makes_the_service_unready(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.dau(YESTERDAY)
    assert service.client.get("/readyz").status_code == 200
    monkeypatch.setattr("dpdau.model.ledger.LedgerRow.computed_hash", lambda _: "other")
    answer = service.client.get("/readyz")
    assert_problem(answer, 503, "ledger-damaged")
    answer = service.client.get("/ledger/verify")
    assert assert_problem(answer, 503, "ledger-damaged")["sequence"] == 1
    assert service.send(event("ada", YESTERDAY)).json()["accepted"] == 1


def test_a_store_that_cannot_be_warmed_is_served_as_far_as_it_can_be_read(
    open_service: Callable[..., Service], capsys: pytest.CaptureFixture[str]
) -> None:
    class ColdStore(MemoryStore):
        def warm(self) -> None:
            raise StoreCorruptError(SECRET_PATH, "a page is broken")

    service = open_service(ColdStore())
    assert service.send(event("ada", YESTERDAY)).json()["accepted"] == 1
    assert "warming failed" in capsys.readouterr().out
