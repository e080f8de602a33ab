"""A soak in small: real days of a second, and a store that is not what was sent."""

import json
from pathlib import Path

import pytest

import soak
from _crowd import Crowd
from _soak_comparison import Published, comparisons

SMALL = ("--days", "3", "--seconds", "1", "--users", "3000")
JUDGED = {
    "write-ahead log",
    "events that wait",
    "erasures that wait",
    "answers to readers",
    "releases that budgets were charged for",
    "days of each person",
    "people past the retention",
    "totals that the series measured",
    "noise of the measurements",
    "values within six standard errors of the truth",
    "dpdau verify",
    "findings of dpdau doctor",
}


@pytest.mark.slow
def test_days_go_by_and_nothing_drifts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held: list[tuple[bool | None, ...]] = []

    def compare_twice(
        database: Path, secret: str, published: Published, today: int
    ) -> list[soak.Verdict]:
        found = comparisons(database, secret, published, today)
        held.append(tuple(each.holds for each in with_one_more(published, database, today)))
        return found

    def with_one_more(published: Published, database: Path, today: int) -> list[soak.Verdict]:
        """What is found if one person is taken to have been here a day more, and a total is off."""
        crowd: Crowd = published.crowd
        (someone, *_) = (~crowd.active[today - 2] & crowd.known).nonzero()[0].tolist()
        crowd.active[today - 2, someone] = True
        for totals in published.totals.values():
            totals[-1] += 1
        return comparisons(database, soak.SECRET, published, today)[:3]

    monkeypatch.setattr(soak, "comparisons", compare_twice)
    code = soak.main([*SMALL, "--results", str(tmp_path), "--into", str(tmp_path / "none.md")])
    shown = capsys.readouterr().out
    assert code == 0, shown
    results = json.loads((tmp_path / "soak.json").read_text())["results"]
    assert {each["what"] for each in results["verdicts"] if each["holds"]} == JUDGED
    assert all(day["events"] > 0 for day in results["days"])
    # On the first day nothing has been published that readers could ask for.
    assert results["days"][0]["reads"] == 0 < sum(day["reads"] for day in results["days"])
    assert [day["day"] for day in results["days"]] == ["2031-05-18", "2031-05-19", "2031-05-20"]
    # One user is seen, in the days and in the totals; nothing was wrong with the retention.
    assert held == [(False, True, False)]


def test_a_run_that_breaks_off_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def breaks_off(*_: object) -> None:
        message = "POST /erasure was answered with 500"
        raise RuntimeError(message)

    monkeypatch.setattr(soak, "soak", breaks_off)
    assert soak.main([*SMALL, "--results", str(tmp_path)]) == 1
    assert "answered with 500" in capsys.readouterr().err
