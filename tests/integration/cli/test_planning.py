from datetime import date
from pathlib import Path

import pytest

from support.command_line import Result, Run

FORECAST = ("plan", "--users", "50000", "--target-error", "1%")


def shown(result: Result) -> str:
    assert result.code == 0, result.err
    return " ".join(result.out.split())


@pytest.mark.usefixtures("realistic")
class TestForecasts:
    def test_each_mechanism_is_compared_and_one_advised(self, ask: Run) -> None:
        text = shown(ask(*FORECAST, "--period", "2025-10"))

        assert "DAU of about 50,000 users, 2025-10 (31 days), ε = 3, δ = 1e-06" in text
        assert "ε for 1%" in text
        for mechanism in ("continual 6.2", "gaussian 8.6", "laplace 11"):
            assert mechanism in text
        assert "Take a continual series: 1% (500 users) needs no more than ε = 0.02672" in text
        assert "- The series takes ε = 2.4 of the 3" in text

    def test_a_plan_is_the_same_object_here_and_on_a_server(self, run: Run, url: str) -> None:
        asked = (*FORECAST, "--metric", "mau", "--epsilon", "2", "--window", "7", "--json")
        here, there = run(*asked).answer, run(*asked, "--url", url).answer

        assert here == there
        assert (here["metric"], here["epsilon"], here["window_days"]) == ("mau", 2.0, 7)

    def test_lengths_bounds_and_delta_can_be_tried_out(self, run: Run) -> None:
        tried = ("--days", "6", "--flips", "2", "--delta", "1e-7", "--epsilon", "1")
        plan = run("plan", "--users", "9", *tried, "--json").answer

        assert (plan["period"], plan["days"], plan["runs"], plan["delta"]) == (None, 6, 1, 1e-7)
        free = run("plan", "--users", "9", "--days", "6", "--flips", "unbounded", "--json").answer
        assert free["runs"] is None

    def test_without_a_target_no_budget_is_asked_for(self, run: Run) -> None:
        text = shown(run("plan", "--users", "50000", "--days", "7", "--metric", "mau"))

        assert "MAU over 30 days of about 50,000 users, 7 days, ε = 3.5" in text
        assert "ε for" not in text

    def test_a_target_out_of_reach_for_a_mechanism_is_marked(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DAU_BUDGET_TOTAL", "40")
        text = shown(run("plan", "--users", "200", "--target-error", "0.8", "--days", "31"))

        assert "ε for ± 0.8" in text
        assert "above 50" in text

    def test_planning_opens_no_store(self, run: Run, tmp_path: Path) -> None:
        shown(run(*FORECAST))
        assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("--users", "0"), "users is 0"),
        (("--users", "9", "--epsilon", "0"), "epsilon is 0"),
        (("--users", "9", "--epsilon", "1", "--delta", "1"), "delta is 1"),
        (("--users", "9", "--epsilon", "1", "--target-error", "0%"), "target_error is '0%'"),
        (("--users", "9", "--epsilon", "1", "--target-error", "x"), "target_error is 'x'"),
        (("--users", "9", "--epsilon", "1", "--period", "soon"), "period is 'soon'"),
        (("--users", "9", "--epsilon", "1", "--window", "2"), "window is 2"),
        (("--users", "9", "--flips", "few"), "--flips is 'few'"),
        (("--users", "9", "--flips", "1"), "flips is 1"),
        (("--users", "9", "--days", "7", "--period", "2025-10"), "days is 7"),
        (("--users", "9", "--show"), "--show is 'given'; expected nothing"),
        (("--users", "9", "--check", "plan.json"), "--check is 'plan.json'; expected nothing"),
        (("--show", "--epsilon", "1"), "--epsilon is '1.0'; expected nothing"),
        (("--check", "plan.json", "--metric", "dau"), "--metric is 'dau'; expected nothing"),
        (("--check", "plan.json", "--show"), "--show is 'given'; expected nothing"),
        (("--epsilon", "1"), "one of --users NUMBER, --show and --check FILE"),
    ],
)
def test_options_that_do_not_fit_are_named(run: Run, arguments: tuple[str, ...], name: str) -> None:
    result = run("plan", *arguments)

    assert result.code == 3
    assert name in result.err


@pytest.mark.parametrize("option", ["--days", "--flips", "--delta"])
def test_a_server_plans_for_its_own_settings(run: Run, option: str) -> None:
    result = run("plan", "--users", "9", option, "1", "--url", "http://127.0.0.1:1")

    assert result.code == 3
    assert f"{option} is" in result.err
    assert "a server plans for its own settings" in result.err


@pytest.mark.usefixtures("realistic")
class TestExplanations:
    def test_a_value_is_explained_in_words(self, ask: Run, day: date) -> None:
        release_id = ask("dau", str(day), "--json").answer["release_id"]
        text = shown(ask("explain", release_id))

        assert text.startswith(f"{release_id}: ")
        assert f"active on {day}." in text
        assert "one price, ε = 2.4" in text
        assert "revision" not in text
        assert "It counts user ids" in text

    def test_a_revision_says_what_it_corrects(self, ask: Run, day: date) -> None:
        release_id = ask("dau", str(day), "--json").answer["release_id"]
        ask("revise", "dau", str(day))
        text = shown(ask("explain", f"{release_id}-r1"))
        told = ask("explain", f"{release_id}-r1", "--json").answer

        assert "This is revision 1" in text
        assert told["revises"] == release_id

    def test_what_was_never_released_is_an_error(self, ask: Run) -> None:
        result = ask("explain", "dau-1d")

        assert result.code == 7
        assert "There is no release 'dau-1d'" in result.err
