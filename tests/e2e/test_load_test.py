"""A load test in small: real clients, a real service, and its store compared with their record."""

import json
from pathlib import Path

import pytest
from pyroaring import BitMap

import load_test
from _record import read
from dpdau.bootstrap import build
from dpdau.config import load_settings
from load_test import held_by
from support.process import server

SMALL = ("--users", "3", "--spawn", "3", "--seconds", "2")
KEY = "a-key-for-load-tests"


@pytest.fixture(autouse=True)
def _reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))


@pytest.mark.slow
def test_a_service_of_its_own_loses_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_test.main(SMALL) == 0
    shown = capsys.readouterr().out
    assert "Nothing acknowledged was lost." in shown
    reports = tmp_path / "data" / "reports" / "load"
    assert {each.name for each in reports.iterdir()} >= {
        *("load.html", "load_stats.csv", "load_failures.csv", "summary.json"),
    }
    assert all(each.stat().st_mode & 0o077 == 0 for each in (reports, *reports.iterdir()))
    summary = json.loads((reports / "summary.json").read_text())
    names = {route["name"] for route in summary["routes"]}
    assert {"POST /event", "Aggregated"} <= names
    assert [day["lost"] for day in summary["days"]] == [0] * 4
    # Every request is in the tables, those of the last second too.
    (event,) = (each for each in summary["routes"] if each["name"] == "POST /event")
    assert 100 * event["requests"] == summary["acknowledged_events"] > 0


@pytest.mark.slow
def test_a_running_service_is_compared_with_its_data_and_told_of_what_it_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOAD_API_KEY", KEY)
    folder = tmp_path / "service"
    folder.mkdir()
    with server(folder, SERVICE_API_KEY=KEY, LATENESS_HOURS="0") as running:
        host = ("--host", running.url)
        assert load_test.main([*SMALL, *host, "--data-dir", str(folder)]) == 0
        assert "Nothing acknowledged was lost." in capsys.readouterr().out
        assert load_test.main([*SMALL, *host]) == 0
        assert "LOAD_DATA_DIR does not say" in capsys.readouterr().out
    settings = load_settings(data_dir=folder)
    outcomes = read(tmp_path / "data" / "reports" / "load" / "record.txt")
    day = outcomes.traffic.days[1].toordinal()
    with build(settings) as application, application.store.write() as transaction:
        someone = transaction.members(day, day)[:1]
        transaction.update_members(day, BitMap(), someone)
    assert [each.lost for each in held_by(settings, outcomes)[0] or ()] == [0, 1, 0, 0]


@pytest.mark.slow
def test_a_key_that_is_refused_fails_the_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOAD_API_KEY", KEY[::-1])
    folder = tmp_path / "service"
    folder.mkdir()
    with server(folder, SERVICE_API_KEY=KEY) as running:
        assert load_test.main([*SMALL, "--host", running.url]) == 1
    shown = capsys.readouterr().out
    assert "POST /event: 401 unauthorized" in shown
    assert "not one batch was acknowledged" in shown


@pytest.mark.slow
def test_a_service_that_turns_clients_away_has_lost_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOAD_API_KEY", KEY)
    folder = tmp_path / "service"
    folder.mkdir()
    with server(folder, SERVICE_API_KEY=KEY, RATE_LIMIT_PER_MINUTE="6") as running:
        host = ("--host", running.url, "--data-dir", str(folder))
        assert load_test.main([*SMALL, *host]) == 0
    shown = capsys.readouterr().out
    assert "429 rate-limited" in shown
    assert "Nothing acknowledged was lost." in shown
