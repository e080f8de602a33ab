from datetime import date
from pathlib import Path

import pytest

from support.command_line import Run


@pytest.fixture
def stored(run: Run, events: Path) -> None:
    run("ingest", "--from", str(events))


@pytest.mark.usefixtures("stored")
def test_a_backup_is_put_back_with_what_was_published_since(run: Run, day: date) -> None:
    made = run("backup", "--json").answer
    run("dau", str(day))
    run("erase", "ada")
    restored = run("restore", made["path"], "--json").answer

    assert made["ledger_rows"] == 0
    assert (restored["former"], restored["rows_kept"]) == ("newer", 1)
    assert restored["erasures_known"] is True
    assert run("mau", str(day), "--json").answer["estimate"] == 2


@pytest.mark.usefixtures("stored")
def test_a_backup_is_told_in_words_with_where_the_secret_is(run: Run) -> None:
    result = run("backup", "--to", "copy.sqlite3", "--keep", "1")

    assert "Backup made" in result.out
    assert "copy.sqlite3" in result.out
    assert "data/secret only" in result.err


@pytest.mark.usefixtures("stored")
def test_a_restore_is_told_in_words(run: Run) -> None:
    made = run("backup", "--json").answer
    result = run("restore", made["path"])

    assert "had published nothing since" in result.out
    assert result.err == ""


@pytest.mark.usefixtures("stored")
def test_what_a_restore_cannot_know_is_said(run: Run, day: date) -> None:
    made = run("backup", "--json").answer
    run("dau", str(day))
    Path("data/dpdau.sqlite3").unlink()
    Path("data/erasures.journal").unlink()
    result = run("restore", made["path"])

    assert "request those erasures again" in result.err
    assert "ledger-acknowledge" in result.err
    assert run("dau", str(day)).code == 9


def test_a_refused_restore_says_why(run: Run) -> None:
    Path("notes.sqlite3").write_text("not a store")
    result = run("restore", "notes.sqlite3")

    assert result.code == 10
    assert "Error:" in result.err


def test_without_a_store_there_is_nothing_to_back_up(run: Run) -> None:
    assert run("backup", "--json").problem["type"] == "backup-refused"


@pytest.mark.usefixtures("stored")
def test_the_doctor_ends_with_0_unless_there_is_a_problem(run: Run) -> None:
    answer = run("doctor", "--json").answer
    assert answer["sound"] is True
    assert {finding["state"] for finding in answer["findings"]} <= {"ok", "warning"}
    Path("data/dpdau.sqlite3").write_text("broken")
    result = run("doctor")
    assert result.code == 11
    assert "problem" in result.out


@pytest.mark.parametrize("command", [["backup"], ["restore", "file"], ["doctor"]])
def test_the_files_of_another_machine_are_out_of_reach(run: Run, command: list[str]) -> None:
    result = run(*command, "--url", "http://127.0.0.1:1")
    assert result.code == 2
    assert "--url" in result.err


@pytest.mark.usefixtures("stored")
def test_a_store_is_moved_into_a_database_and_used_there(
    run: Run, day: date, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "url"
    file.write_text(database)
    result = run("migrate-store", "--to", f"@{file}")
    assert "Store moved" in result.out
    assert "now the backup" in result.out
    assert "set SERVICE_DATABASE_URL" in result.err
    monkeypatch.setenv("SERVICE_DATABASE_URL", database)
    assert run("mau", str(day), "--json").answer["estimate"] == 3
    again = run("migrate-store")
    assert (again.code, "no store to move" in again.err) == (10, True)


@pytest.mark.usefixtures("stored")
def test_a_move_to_nowhere_is_refused(run: Run) -> None:
    nowhere = run("migrate-store")
    assert (nowhere.code, "the URL of a database" in nowhere.err) == (3, True)
    unfit = run("migrate-store", "--to", "mysql://x")
    assert (unfit.code, "SERVICE_DATABASE_URL is unfit" in unfit.err) == (2, True)


@pytest.mark.usefixtures("stored")
def test_people_are_erased_again_from_the_command_line(run: Run, day: date) -> None:
    run("erase", "ada")
    assert run("erase-again", "--since", str(day), "--json").answer["users"] == 1
    refused = run("erase-again", "--since", "yesterday")
    assert (refused.code, "--since" in refused.err) == (3, True)
