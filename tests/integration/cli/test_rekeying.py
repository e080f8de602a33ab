from pathlib import Path

import pytest

from support.command_line import Run

FORMER, PRESENT = "the former secret of it", "the present secret of it"


@pytest.fixture
def rotated(run: Run, events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store whose secret is replaced after people were counted and one was erased."""
    monkeypatch.setenv("HASH_SALT_SECRET", FORMER)
    run("ingest", "--from", str(events))
    run("erase", "eve")
    monkeypatch.setenv("HASH_SALT_SECRET", PRESENT)
    monkeypatch.setenv("HASH_SALT_SECRET_PREVIOUS", FORMER)


def test_a_secret_that_was_never_replaced_says_how(ask: Run) -> None:
    result = ask("rekey", "--status")

    assert ask("rekey", "--status", "--json").answer["state"] == "none"
    assert "The secret was never replaced." in result.out
    assert "HASH_SALT_SECRET_PREVIOUS" in result.out


@pytest.mark.usefixtures("rotated")
def test_a_rotation_shows_who_has_moved_until_it_is_complete(ask: Run, run: Run) -> None:
    before = ask("rekey", "--status", "--json").answer
    people = ("users_done", "users_remaining", "tombstones_remaining")
    assert (before["state"], *(before[name] for name in people)) == ("running", 0, 3, 1)
    assert "people remaining" in ask("rekey", "--status").out
    assert before["ends_by"] in ask("rekey", "--status").out

    run("ingest", "--from", "events.jsonl")
    run("erase", "eve")
    after = ask("rekey", "--status", "--json").answer
    assert (after["state"], *(after[name] for name in people)) == ("complete", 3, 0, 0)
    assert "Rotation complete" in ask("rekey", "--status").out


@pytest.mark.usefixtures("rotated")
def test_values_after_a_rotation_count_everyone_once(ask: Run, run: Run, day: str) -> None:
    run("ingest", "--from", "events.jsonl")

    assert ask("dau", str(day), "--json").answer["estimate"] == 2
    assert ask("mau", str(day), "--json").answer["estimate"] == 2


def test_a_wrong_previous_secret_ends_with_the_code_of_wrong_settings(
    run: Run, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("ingest", "--from", str(events))
    monkeypatch.setenv("HASH_SALT_SECRET", PRESENT)
    monkeypatch.setenv("HASH_SALT_SECRET_PREVIOUS", FORMER)
    result = run("rekey", "--status")

    assert result.code == 2
    assert "Neither HASH_SALT_SECRET nor HASH_SALT_SECRET_PREVIOUS" in result.err
    assert FORMER not in result.err


def test_there_is_nothing_to_start(ask: Run) -> None:
    result = ask("rekey")

    assert result.code == 3
    assert "dpdau rekey --status" in result.err
