import asyncio
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from dpdau import __version__
from dpdau.errors import StoreError
from dpdau.model.ledger import LedgerKind
from dpdau.pipeline.upkeep import UpkeepReport
from dpdau.service.upkeep import keep_up
from dpdau.store import MemoryStore, SqliteStore
from support import FakeClock
from support.service import Service, event

TODAY = date(2025, 11, 20)
YESTERDAY = TODAY - timedelta(days=1)


class Rounds:
    """Counts rounds of upkeep; what a round does is taken from a list."""

    def __init__(self, application: Any, *outcomes: Any) -> None:
        self.stopping = asyncio.Event()
        self.outcomes = list(outcomes)
        self.upkeep = self
        self.report = application.upkeep.run()

    def run(self) -> Any:
        outcome = self.outcomes.pop(0)
        if not self.outcomes:
            self.stopping.set()
        if isinstance(outcome, Exception):
            raise outcome
        return self.report


@pytest.mark.anyio
async def test_upkeep_goes_on_after_a_failure_and_stops_when_told(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = Rounds(
        service.application,
        None,
        StoreError("The disk is gone."),
        RuntimeError("secret-name"),
        None,
    )
    metrics, verifier = service.app.state.context.metrics, service.app.state.context.verifier
    await keep_up(rounds, metrics, verifier, 0, rounds.stopping)  # type: ignore[arg-type]
    assert rounds.outcomes == []
    logged = capsys.readouterr().out
    assert "message='The disk is gone.'" in logged
    assert "fault=RuntimeError" in logged
    assert "secret-name" not in logged
    figures = {
        sample.name: sample.value for family in metrics.families() for sample in family.samples
    }
    assert figures["dp_upkeep_failures_total"] == 2
    assert figures["dp_upkeep_last_success_timestamp_seconds"] == service.clock.now.timestamp()


@pytest.mark.anyio
async def test_a_round_tells_what_it_did_and_what_it_could_not_do(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds = Rounds(service.application, None)
    rounds.report = UpkeepReport(["dau-1d-2025-11-19"], ["The dau budget is spent."], 3, 2)
    metrics, verifier = service.app.state.context.metrics, service.app.state.context.verifier
    await keep_up(rounds, metrics, verifier, 0, rounds.stopping)  # type: ignore[arg-type]
    logged = capsys.readouterr().out
    assert re.search(r"published +days_due=3 releases=1\n", logged)
    assert re.search(r"publication refused +days_due=3 reason='The dau budget is spent.'\n", logged)
    assert re.search(r"erasures waiting +erasures=2\n", logged)


def test_a_service_tells_when_it_starts_and_when_all_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Service(tmp_path):
        assert f"version={__version__}\n" in capsys.readouterr().out
    assert re.findall(r"\] (stop\w+)", capsys.readouterr().out) == ["stopping", "stopped"]


def test_days_that_closed_while_the_service_was_away_are_published_at_its_start(
    tmp_path: Path,
) -> None:
    def opened(clock: FakeClock) -> Service:
        settings = {"mechanism_dau": "continual", "dau_budget_total": 3.0, "epsilon_dau": 0.3}
        return Service(tmp_path, settings, SqliteStore(tmp_path / "store" / "file"), clock)

    def published(service: Service) -> list[str]:
        rows = service.application.ledger()
        return [row.subject for row in rows if row.kind is LedgerKind.RELEASE]

    clock = FakeClock()
    with opened(clock) as service:
        service.dau(YESTERDAY)
        assert len(published(service)) == 19
    clock.advance(days=3)
    with opened(clock):
        pass
    with opened(clock) as service:
        assert len(published(service)) == 22


@pytest.mark.anyio
async def test_many_clients_at_once_share_commits_and_lose_nothing(
    open_service: Callable[..., Service],
) -> None:
    service = open_service()

    async def client(number: int) -> None:
        async with service.asynchronous_client() as session:
            for batch in range(5):
                events = [event(f"user-{number}-{batch}-{each}", YESTERDAY) for each in range(20)]
                answer = await session.post("/event", json={"events": events})
                assert answer.json()["accepted"] == 20

    await asyncio.gather(*(client(number) for number in range(20)))
    assert service.dau(YESTERDAY) == 2_000


def test_what_waits_is_written_before_the_service_ends(tmp_path: Path) -> None:
    store = MemoryStore()
    with Service(tmp_path, store=store) as service:
        writer = service.app.state.context.writer
        service.send(event("ada", YESTERDAY))
        assert writer.is_running
    assert not writer.is_running
