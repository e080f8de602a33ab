"""The benchmarks in their short form, which checks what they count and no time."""

import pytest

import consume
import counting
import database
import erasure
import ingest_bulk
import ingest_http
import scraping
from support.postgres import PostgresServer


@pytest.mark.slow
def test_services_under_load_hold_what_was_sent(capsys: pytest.CaptureFixture[str]) -> None:
    ingest_http.main(["--short"])
    assert "this product" in capsys.readouterr().out


@pytest.mark.slow
def test_files_of_every_format_are_counted_alike(capsys: pytest.CaptureFixture[str]) -> None:
    ingest_bulk.main(["--short"])
    assert "Parquet" in capsys.readouterr().out


@pytest.mark.slow
def test_a_window_is_counted_as_its_rival_counts_it(capsys: pytest.CaptureFixture[str]) -> None:
    counting.main(["--short"])
    assert "30-day MAU" in capsys.readouterr().out


@pytest.mark.slow
def test_every_kind_of_erasure_is_completed(capsys: pytest.CaptureFixture[str]) -> None:
    erasure.main(["--short"])
    assert "one person who keeps coming back" in capsys.readouterr().out


@pytest.mark.slow
def test_every_point_of_the_curves_of_growth_is_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Its figure comes with the extra `bench`.
    growth = pytest.importorskip("growth", exc_type=ImportError)
    growth.main(["--short"])
    assert "events a transaction" in capsys.readouterr().out


@pytest.mark.slow
def test_watching_is_measured_on_a_ledger_that_is_true(capsys: pytest.CaptureFixture[str]) -> None:
    scraping.main(["--short"])
    assert "scrape, median" in capsys.readouterr().out


@pytest.mark.slow
def test_a_database_holds_what_one_and_two_services_were_sent(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    database_server: PostgresServer,
) -> None:
    monkeypatch.setenv("SERVICE_DATABASE_URL", database_server.url())
    database.main(["--short"])
    assert "database, two services" in capsys.readouterr().out


@pytest.mark.slow
def test_a_consumer_stores_what_the_broker_was_sent(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # It would send this process's log lines elsewhere for good.
    monkeypatch.setattr(consume, "configure_logs", lambda _: None)
    consume.main(["--short"])
    assert "events a commit" in capsys.readouterr().out
