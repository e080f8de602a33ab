from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from _comparison import DayComparison
from _report import Failure, Report, Route, failures_in, routes_in

DAY = DayComparison(date(2025, 11, 20), expected=5, doubtful=0, lost=0, stored=5)
ROUTE = Route("POST /event", 200, 1, 100.0, 5, 9, 12)


def report(**others: Any) -> Report:
    given = {
        "seed": 7,
        "host": "http://127.0.0.1:8000",
        "routes": [ROUTE, msgspec.structs.replace(ROUTE, name="Aggregated")],
        "failures": [],
        "acknowledged_events": 1_000,
        "days": [DAY],
        "unchecked": "",
        "is_own": True,
    }
    return Report(**{**given, **others})


def test_a_test_without_fault_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    good = report()
    assert good.faults == []
    good.print()
    shown = capsys.readouterr().out
    assert "1,000 events acknowledged, 500 a second" in shown
    assert "Nothing acknowledged was lost." in shown


@pytest.mark.parametrize(
    ("others", "fault"),
    [
        ({"days": [replace(DAY, lost=2)]}, "2 acknowledged events are lost"),
        ({"days": [replace(DAY, stored=6)]}, "the store holds other people than were sent"),
        ({"acknowledged_events": 0}, "not one batch was acknowledged"),
        ({"failures": [Failure("GET /mau", "500 internal", 3)]}, "3 × GET /mau: 500 internal"),
        ({"failures": [Failure("GET /mau", "0 timeout", 1)]}, "1 × GET /mau: 0 timeout"),
    ],
)
def test_every_fault_is_named(
    others: dict[str, Any], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = report(**others)
    assert bad.faults == [fault]
    bad.print()
    assert f"FAILED: {fault}." in capsys.readouterr().out


def test_what_the_service_turns_away_is_shown_and_no_fault(
    capsys: pytest.CaptureFixture[str],
) -> None:
    turned_away = [
        Failure("POST /event", "429 rate-limited", 4),
        Failure("POST /event", "503 overloaded", 2),
    ]
    shown = report(failures=turned_away)
    assert shown.faults == []
    shown.print()
    assert "429 rate-limited" in capsys.readouterr().out


def test_others_people_in_a_store_that_is_not_its_own_are_none_of_its_business() -> None:
    assert report(days=[replace(DAY, stored=600)], is_own=False).faults == []


def test_what_could_not_be_looked_at_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    report(days=None, unchecked="there is no folder.", is_own=False).print()
    shown = capsys.readouterr().out
    assert "Not checked whether anything acknowledged was lost: there is no folder." in shown
    assert "Nothing acknowledged was lost" not in shown


def test_locust_s_tables_are_read(tmp_path: Path) -> None:
    header = "Type,Name,Request Count,Failure Count,Requests/s,50%,95%,99%\n"
    rows = "POST,/event,10,1,2.5,4,8,9\n,Aggregated,0,0,0,N/A,N/A,N/A\n"
    (tmp_path / "load_stats.csv").write_text(header + rows)
    failures = (
        "Method,Name,Error,Occurrences\nPOST,/event,CatchResponseError('429 rate-limited'),1\n"
    )
    (tmp_path / "load_failures.csv").write_text(failures)
    event, total = routes_in(tmp_path)
    assert event == Route("POST /event", 10, 1, 2.5, 4, 8, 9)
    assert total == Route("Aggregated", 0, 0, 0, 0, 0, 0)
    assert failures_in(tmp_path) == [Failure("POST /event", "429 rate-limited", 1)]
