import json
from datetime import date
from pathlib import Path

import pytest

from support.command_line import Result, Run


def shown(result: Result) -> str:
    assert result.code == 0, result.err
    return " ".join(result.out.split())


def test_an_unused_budget_is_whole(ask: Run) -> None:
    assert "Nothing has been published" in shown(ask("budget"))
    assert "The ledger is empty" in shown(ask("ledger"))
    assert "The ledger is empty" in shown(ask("verify"))


@pytest.mark.usefixtures("realistic")
def test_budgets_are_told_by_period_and_in_all(run: Run, day: date) -> None:
    run("dau", str(day))
    text = shown(run("budget"))

    assert f"{day:%Y-%m} dau 2.4 0.6 3" in text
    assert "all metrics together: ε = 2.4" in text
    assert "Everything ever published: ε = 2.4" in text


@pytest.mark.usefixtures("realistic")
def test_a_metrics_budget_is_told_by_every_way_of_adding_up(ask: Run, day: date) -> None:
    ask("dau", str(day))
    text = shown(ask("budget", "dau", "--day", str(day)))

    assert f"Budget of DAU for {day:%Y-%m}" in text
    assert "left ε = 0.6 of 3" in text
    assert "advanced composition ε = 2.4" in text
    assert "Rényi composition" in text


@pytest.mark.usefixtures("realistic")
def test_the_ledger_holds_the_plan_and_every_value(run: Run, day: date) -> None:
    value = run("dau", str(day), "--json").answer
    rows = run("ledger", "--metric", "dau", "--period", f"{day:%Y-%m}", "--json").answer["rows"]
    text = shown(run("ledger"))

    assert [row["kind"] for row in rows] == ["series"] + ["release"] * (len(rows) - 1)
    assert rows[-1]["subject"] == value["release_id"]
    assert f"{value['release_id']} {value['estimate']}" in text
    assert "ε = 2.4" in text
    found = run("verify", "--json").answer
    assert (found["valid"], found["rows"], found["head"]) == (True, len(rows), rows[-1]["hash"])
    assert f"1 series); the newest has the hash {found['head'][:16]}" in shown(run("verify"))


@pytest.mark.usefixtures("realistic")
def test_a_plan_is_shown_with_its_certificate(ask: Run) -> None:
    text = shown(ask("plan", "--show", "--metric", "dau", "--period", "2025-10"))
    plan = ask("plan", "--show", "--metric", "dau", "--period", "2025-10", "--json").answer

    assert "any days (unbounded)" in text
    assert "gap to the optimum" in text
    assert plan["presence"] == {"kind": "unbounded", "runs": None}
    assert (plan["metric"], plan["period"], plan["days"]) == ("dau", "2025-10", 31)
    assert plan["rho"] == pytest.approx(plan["sensitivity_squared"] / (2 * plan["sigma"] ** 2))
    assert {"strategy", "scale", "epsilon", "delta", "primal", "dual", "gap"} < plan.keys()


@pytest.mark.usefixtures("realistic")
def test_a_bounded_plan_says_how_often_a_person_is_counted(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("W_BOUND_MAU", "2")

    text = shown(run("plan", "--show", "--metric", "mau", "--period", "2025-02"))
    assert "at most 1 runs of days" in text


@pytest.mark.usefixtures("realistic")
def test_a_plan_that_was_printed_can_be_checked(run: Run) -> None:
    shown_plan = run("plan", "--show", "--metric", "dau", "--period", "2025-02", "--json")
    Path("plan.json").write_text(shown_plan.out)

    assert "The plan holds" in run("plan", "--check", "plan.json").out
    checked = run("plan", "--check", "plan.json", "--json").answer
    assert checked["plan_id"] == shown_plan.answer["plan_id"]


@pytest.mark.usefixtures("realistic")
@pytest.mark.parametrize("name", ["sensitivity_squared", "epsilon", "rho", "primal", "dual"])
def test_a_plan_that_promises_too_much_is_found_out(run: Run, name: str) -> None:
    plan = run("plan", "--show", "--metric", "dau", "--period", "2025-02", "--json").answer
    del plan["plan_id"]
    plan[name] = plan[name] - 1 if isinstance(plan[name], int) else plan[name] * 0.99
    Path("plan.json").write_text(json.dumps(plan))
    result = run("plan", "--check", "plan.json")

    assert result.code == 9
    assert name in result.err


@pytest.mark.parametrize(
    ("content", "code"), [("{", 3), ("[]", 9), ("{}", 9), ("[" * 100_000, 3), (None, 3)]
)
def test_a_file_that_is_no_plan_is_an_error(run: Run, content: str | None, code: int) -> None:
    if content is not None:
        Path("plan.json").write_text(content)

    assert run("plan", "--check", "plan.json").code == code


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--show"],
        ["--show", "--metric", "dau"],
        ["--show", "--period", "2025-10"],
        ["--show", "--check", "plan.json"],
    ],
)
def test_plan_says_which_options_it_needs(run: Run, arguments: list[str]) -> None:
    result = run("plan", *arguments)

    assert result.code == 3
    assert "--show" in result.err


@pytest.mark.usefixtures("realistic")
def test_a_cap_is_raised_with_name_and_reason(ask: Run, day: date) -> None:
    arguments = ["raise-cap", "dau", "--period", f"{day:%Y-%m}", "--who", "Ada", "--why", "a day"]
    text = shown(ask(*arguments, "--to", "4"))

    assert "left ε = 4 of 4" in text
    assert "up to ε = 4" in shown(ask("ledger"))
    assert ask(*arguments, "--to", "3.5").code == 3


@pytest.mark.usefixtures("realistic")
def test_a_rolled_back_ledger_is_told_and_acknowledged(ask: Run, day: date) -> None:
    ask("dau", str(day))
    head = Path("data/ledger.head")
    content = json.loads(head.read_bytes())
    head.write_text(json.dumps({**content, "sequence": 99, "hash": "f" * 64}))
    result = ask("verify")

    assert result.code == 9
    assert "remembers row 99 (ffff" in result.err
    arguments = ["ledger-acknowledge", "--who", "Ada", "--why", "the disk died"]
    assert ask(*arguments, "--nothing-lost").code == 3
    assert "0 series ended" in shown(ask(*arguments))
    assert "2 acknowledgement" in shown(ask("verify"))
