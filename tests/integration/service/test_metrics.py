import platform
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from dpdau import __version__
from dpdau.errors import LedgerRolledBackError, StoreBusyError, StoreReadOnlyError
from dpdau.service.latencies import quantile
from support.service import Service, event

YESTERDAY = date(2025, 11, 19)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(service: Service) -> Samples:
    answer = service.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def test_requests_are_counted_by_template_and_never_by_path(service: Service) -> None:
    for offset in range(3):
        service.client.get(f"/dau/{YESTERDAY - timedelta(days=offset)}")
    service.client.get("/dau/soon")
    service.client.get("/nowhere")
    service.client.request("BREW", "/mau")
    samples = scrape(service)
    route = "/dau/{day}"
    assert value(samples, "dp_requests_total", route=route, method="GET", status="200") == 3
    assert value(samples, "dp_requests_total", route=route, method="GET", status="422") == 1
    unmatched = {"route": "unmatched", "method": "GET", "status": "404"}
    assert value(samples, "dp_requests_total", **unmatched) == 1
    brewed = {"route": "/mau", "method": "OTHER", "status": "405"}
    assert value(samples, "dp_requests_total", **brewed) == 1
    assert value(samples, "dp_request_latency_ms_count", route=route) == 4
    quantiles = [value(samples, f"dp_request_latency_ms_p{p}", route=route) for p in (50, 95, 99)]
    assert None not in quantiles
    assert quantiles == sorted(quantiles, key=float)


def test_events_are_counted_by_what_became_of_them(service: Service) -> None:
    service.send(event("ada", YESTERDAY), event("bob", YESTERDAY))
    service.client.post("/erasure", json={"user_id": "ada"})
    service.send(
        event("ada", YESTERDAY),
        event("", YESTERDAY),
        event("bob", "soon"),
        "no event",
        {"user_id": "eve", "op": "-", "day": str(YESTERDAY), "scope": "user"},
        partial=True,
    )
    service.send(event("bob", YESTERDAY, "*"))
    service.client.post("/event", content=b"{")
    samples = scrape(service)
    assert value(samples, "dp_events_accepted_total") == 4
    rejected = {
        reason: value(samples, "dp_events_rejected_total", reason=reason)
        for reason in ("user_id", "day", "event", "op", "malformed-body")
    }
    assert rejected == dict.fromkeys(rejected, 1)
    assert value(samples, "dp_events_refused_after_erasure_total") == 1
    assert value(samples, "dp_erased_users_total") == 2
    assert value(samples, "dp_writer_waiting_events") == 0
    assert value(samples, "dp_commit_seconds_count") == 2


def test_budgets_and_what_waits_are_shown(open_service: Callable[..., Service]) -> None:
    settings = {"mechanism_dau": "continual", "dau_budget_total": 3.0, "epsilon_dau": 0.3}
    service = open_service(**settings)
    service.client.get(f"/dau/{YESTERDAY}")
    service.clock.advance(days=2)
    samples = scrape(service)
    spent = value(samples, "dp_budget_epsilon_spent", metric="dau")
    remaining = value(samples, "dp_budget_epsilon_remaining", metric="dau")
    assert spent == pytest.approx(2.4, abs=0.01)
    assert remaining == pytest.approx(0.6, abs=0.01)
    assert value(samples, "dp_days_due") == 2
    assert value(samples, "dp_erasures_waiting") == 0


def test_what_is_overdue_counts_from_when_it_could_have_been_done(
    open_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StoreBusyError(10)

    service = open_service(
        mechanism_dau="continual", dau_budget_total=3.0, epsilon_dau=0.3, erasure_target_hours=2
    )
    service.client.get(f"/dau/{YESTERDAY}")
    monkeypatch.setattr(service.store, "purge", fail)
    assert service.client.post("/erasure", json={"user_id": "ada"}).status_code == 202
    service.clock.advance(days=1, hours=1)
    samples = scrape(service)
    # The clock stood at noon, and days close at midnight.
    assert value(samples, "dp_publication_overdue_seconds") == 13 * 3_600
    assert value(samples, "dp_erasures_waiting") == 1
    assert value(samples, "dp_erasure_oldest_seconds") == 25 * 3_600
    assert value(samples, "dp_erasure_target_seconds") == 2 * 3_600


def test_the_writer_is_shown_beside_its_limit(open_service: Callable[..., Service]) -> None:
    service = open_service(max_waiting_events=7)
    samples = scrape(service)
    assert value(samples, "dp_writer_waiting_events_limit") == 7
    assert value(samples, "dp_writer_running") == 1
    service.app.state.context.writer.close()
    assert value(scrape(service), "dp_writer_running") == 0


def test_a_server_error_is_counted_from_the_first_one_on(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert value(scrape(service), "dp_requests_failed_total") == 0
    monkeypatch.setattr(service.store, "check", Mock(side_effect=StoreBusyError(10)))
    service.client.get("/readyz")
    service.client.get("/nowhere")
    assert value(scrape(service), "dp_requests_failed_total") == 1


def test_disk_and_backups_are_shown_while_there_is_a_folder(service: Service) -> None:
    samples = scrape(service)
    free, size = (value(samples, f"dp_disk_{name}_bytes") or 0 for name in ("free", "size"))
    assert 0 < free <= size
    assert value(samples, "dp_store_bytes") == 0
    assert value(samples, "dp_backups") == 0
    assert value(samples, "dp_backup_newest_timestamp_seconds") is None

    (service.data_dir / "dpdau.sqlite3-wal").write_bytes(b"12345")
    folder = service.data_dir / "backups"
    folder.mkdir()
    (folder / "dpdau-20251101T030000Z.sqlite3").touch()
    samples = scrape(service)
    assert value(samples, "dp_store_bytes") == 5
    assert value(samples, "dp_backups") == 1
    made_at = datetime(2025, 11, 1, 3, tzinfo=UTC).timestamp()
    assert value(samples, "dp_backup_newest_timestamp_seconds") == made_at

    shutil.rmtree(service.data_dir)
    samples = scrape(service)
    assert value(samples, "dp_disk_free_bytes") is None
    assert value(samples, "dp_store_readable") == 1


def test_a_ledger_that_was_rolled_back_is_shown(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.dau(YESTERDAY)
    samples = scrape(service)
    assert value(samples, "dp_ledger_rows") == 1
    assert value(samples, "dp_ledger_fits") == 1
    lost = LedgerRolledBackError((1, "a"), (2, "b"))
    monkeypatch.setattr(service.application.guard.__class__, "check", Mock(side_effect=lost))
    samples = scrape(service)
    assert value(samples, "dp_ledger_fits") == 0
    assert value(samples, "dp_store_readable") == 1


def test_the_version_and_the_start_are_shown(service: Service) -> None:
    samples = scrape(service)
    versions = {"version": __version__, "python": platform.python_version()}
    assert value(samples, "dp_build_info", **versions) == 1
    assert value(samples, "dp_start_timestamp_seconds") == service.clock.now.timestamp()


def test_a_store_that_fails_hides_its_own_figures_only(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> Any:
        raise StoreReadOnlyError(service.data_dir)

    monkeypatch.setattr(service.store, "write", fail)
    service.send(event("ada", YESTERDAY))
    monkeypatch.setattr(service.store, "read", fail)
    samples = scrape(service)
    assert value(samples, "dp_commits_failed_total") == 1
    assert value(samples, "dp_store_readable") == 0
    assert value(samples, "dp_budget_epsilon_spent", metric="dau") is None
    assert value(samples, "dp_disk_free_bytes") is not None


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 100))
def test_a_quantile_is_not_exceeded_by_its_share_of_the_values(
    values: list[float], percent: int
) -> None:
    ordered = sorted(values)
    found = quantile(ordered, percent)
    assert 100 * sum(each <= found for each in ordered) >= percent * len(ordered)
    assert 100 * sum(each < found for each in ordered) < percent * len(ordered)
