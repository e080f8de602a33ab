import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from support.command_line import Result, Run


@pytest.fixture
def ingested(ask: Run, events: Path) -> None:
    assert ask("ingest", "--from", str(events)).code == 0


def shown(result: Result) -> str:
    """What a table says, without its line breaks."""
    assert result.code == 0, result.err
    return " ".join(result.out.split())


@pytest.mark.usefixtures("ingested")
def test_a_day_is_told_with_interval_cost_and_promise(ask: Run, day: date) -> None:
    text = shown(ask("dau", str(day)))

    assert f"Daily active users, {day}" in text
    assert "estimate 3 users" in text
    assert "95 % interval 3 to 3 users" in text
    assert "cost ε = 1e+06 for this value" in text
    assert "Promise: all that is published of DAU" in text


@pytest.mark.usefixtures("ingested")
def test_a_window_of_any_length_can_be_asked_for(ask: Run, day: date) -> None:
    last = str(day + timedelta(days=1))

    assert ask("mau", last, "--json").answer["estimate"] == 4
    assert ask("mau", last, "--window", "1", "--json").answer["estimate"] == 2


@pytest.mark.usefixtures("ingested")
def test_asking_again_gives_the_same_value_and_costs_nothing(ask: Run, day: date) -> None:
    first, second = (ask("dau", str(day), "--json").answer for _ in range(2))

    assert first == second
    assert first["budget"]["releases"] == 1


@pytest.mark.usefixtures("ingested")
def test_a_series_is_a_table_of_published_values_and_says_what_is_missing(
    ask: Run, day: date
) -> None:
    ask("dau", str(day))
    text = shown(ask("series", "dau", "--start", str(day), "--end", str(day + timedelta(days=1))))

    assert f"{day} 3 3 to 3" in text
    assert f"{day + timedelta(days=1)} has no value" in text


def test_a_series_without_any_value_says_so(ask: Run, day: date) -> None:
    text = shown(ask("series", "dau", "--start", str(day), "--end", str(day + timedelta(days=1))))

    assert text == f"2 days between {day} and {day + timedelta(days=1)} have no value."


@pytest.mark.usefixtures("ingested")
def test_a_series_can_be_had_as_csv(ask: Run, day: date) -> None:
    ask("dau", str(day))
    result = ask("series", "dau", "--start", str(day), "--end", str(day), "--csv")

    rows = list(csv.DictReader(io.StringIO(result.out)))
    assert [(row["day"], row["estimate"]) for row in rows] == [(str(day), "3")]


@pytest.mark.usefixtures("realistic", "ingested")
def test_a_continual_series_is_published_when_asked_for_and_shows_bands(
    ask: Run, day: date
) -> None:
    text = shown(ask("series", "dau", "--start", str(day), "--end", str(day)))

    assert "estimate 95 % interval band std. error" in text
    assert "lie within their bands at once" in text
    assert "Budget left: ε = 0.6 of 3" in text
    assert "for the whole series of" in shown(ask("dau", str(day)))


@pytest.mark.usefixtures("realistic", "ingested")
def test_a_narrow_terminal_gets_fewer_columns(
    ask: Run, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = shown(ask("series", "dau", "--start", str(day), "--end", str(day)))

    assert "band" not in text
    assert str(day) in text


@pytest.mark.usefixtures("ingested")
def test_a_revision_counts_what_is_known_now(ask: Run, day: date) -> None:
    ask("dau", str(day))
    ask("erase", "eve")
    revised = ask("revise", "dau", str(day), "--json").answer

    assert (revised["estimate"], revised["revision"]) == (2, 1)
    assert "estimate 2 users (revision 1)" in shown(ask("dau", str(day)))


@pytest.mark.usefixtures("ingested")
def test_publishing_names_the_new_values(ask: Run, day: date) -> None:
    published = ask("publish", "--from", str(day), "--through", str(day), "--json").answer
    again = ask("publish", "--from", str(day), "--through", str(day))

    assert published == {"published": [f"dau-1d-{day}", f"mau-30d-{day}"]}
    assert "Nothing was due" in again.out


@pytest.mark.usefixtures("ingested")
def test_what_publishing_made_is_told_by_metric(ask: Run, day: date) -> None:
    text = shown(ask("publish", "--from", str(day), "--through", str(day + timedelta(days=1))))

    assert "Published 4 values" in text
    assert f"DAU 2 values, dau-1d-{day} to dau-1d-{day + timedelta(days=1)}" in text


def test_an_open_day_ends_with_its_own_exit_code(ask: Run) -> None:
    today = str(datetime.now(UTC).date())
    result = ask("dau", today)

    assert result.code == 7
    assert result.out == ""
    assert result.err.startswith(f"Error: {today} is still open")


@pytest.mark.parametrize(
    "arguments",
    [
        ["dau", "yesterday"],
        ["dau", "2025-02-30"],
        ["mau", "2025-01-31", "--window", "0"],
        ["series", "dau", "--start", "2025-01-02", "--end", "2025-01-01"],
        ["series", "wau", "--start", "2025-01-01", "--end", "2025-01-02"],
        ["series", "dau", "--start", "2025-01-01", "--end", "soon"],
        ["publish", "--through", "soon"],
        ["publish", "--from", "2025-1-1"],
        ["revise", "wau", "2025-01-01"],
        ["budget", "wau"],
        ["budget", "dau", "--day", "x"],
        ["budget", "--day", "2025-01-01"],
        ["ledger", "--metric", "wau"],
        ["ledger", "--period", "January"],
        ["plan", "--show", "--metric", "wau", "--period", "2025-01"],
        ["plan", "--show", "--metric", "mau", "--period", "January"],
    ],
)
def test_bad_input_is_named_and_ends_with_exit_code_3(ask: Run, arguments: list[str]) -> None:
    result = ask(*arguments)

    assert result.code == 3
    assert result.out == ""
    assert result.err.startswith("Error: ")
    assert "Traceback" not in result.err


def test_an_exhausted_budget_has_its_own_exit_code_and_spends_nothing(
    run: Run, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAU_BUDGET_TOTAL", "1000000")
    allowed = run("mau", str(day), "--window", "7")
    refused = run("mau", str(day))

    assert allowed.code == 0
    assert refused.code == 8
    assert refused.err.startswith("Error: The mau budget of")
    assert run("budget", "mau", "--day", str(day), "--json").answer["releases"] == 1


def test_what_was_published_before_a_budget_ran_out_is_named(
    run: Run, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAU_BUDGET_TOTAL", "1000000")
    run("mau", str(day), "--window", "7")
    refused = run("publish", "--from", str(day), "--through", str(day), "--json")

    assert refused.code == 8
    assert refused.problem["published"] == [f"dau-1d-{day}"]


def test_errors_as_json_are_the_services_problem_objects(run: Run, url: str) -> None:
    today = str(datetime.now(UTC).date())
    local = run("dau", today, "--json")
    remote = run("dau", today, "--json", "--url", url)

    assert local.code == remote.code == 7
    assert local.problem == {
        "type": "day-open",
        "title": "Day still open",
        "status": 409,
        "detail": local.problem["detail"],
        "day": today,
        "closes_at": local.problem["closes_at"],
    }
    assert remote.problem.items() >= local.problem.items()


@pytest.mark.usefixtures("events")
def test_the_store_and_a_server_on_it_give_the_same_answers(
    run: Run, events: Path, day: date, url: str
) -> None:
    run("ingest", "--from", str(events))
    run("publish", "--from", str(day))
    for question in (
        ["dau", str(day)],
        ["mau", str(day)],
        ["series", "mau", "--start", str(day), "--end", str(day + timedelta(days=3))],
        ["budget", "dau", "--day", str(day)],
        ["budget"],
        ["ledger"],
        ["ledger", "--metric", "dau", "--period", f"{day:%Y-%m}"],
        ["verify"],
    ):
        local = run(*question, "--json")
        remote = run(*question, "--json", "--url", url)
        assert json.loads(local.out) == json.loads(remote.out)
        assert run(*question).out == run(*question, "--url", url).out
