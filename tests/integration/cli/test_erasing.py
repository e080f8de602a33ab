import io
import json
import sys
from datetime import date
from pathlib import Path

import pytest

from dpdau.cli import erasing
from dpdau.errors import StoreBusyError, StoreFullError
from dpdau.store import SqliteStore
from support.command_line import Run


def test_erased_people_are_in_no_later_value(ask: Run, events: Path, day: date) -> None:
    ask("ingest", "--from", str(events))
    erased = ask("erase", "ada", "nobody", "--json").answer

    assert (erased["state"], erased["users"]) == ("done", 2)
    assert ask("dau", str(day), "--json").answer["estimate"] == 2


def test_an_erasure_can_be_asked_for_by_its_id(ask: Run) -> None:
    erased = ask("erase", "ada", "--json").answer
    result = ask("erasure", erased["erasure_id"])

    assert ask("erasure", erased["erasure_id"], "--json").answer == erased
    assert "Erasure done" in result.out
    assert "1 person" in result.out


def test_a_file_names_one_person_a_line_and_adds_to_the_arguments(
    ask: Run, events: Path, day: date
) -> None:
    ask("ingest", "--from", str(events))
    Path("leaving.txt").write_bytes("\ufeffada\r\n\nbob\n".encode())
    erased = ask("erase", "eve", "--from", "leaving.txt", "--json").answer

    assert erased["users"] == 3
    assert ask("dau", str(day), "--json").answer["estimate"] == 0


def test_ids_that_begin_with_a_dash_follow_a_double_dash(run: Run) -> None:
    assert run("erase", "--json", "--", "--ada").answer["users"] == 1


def test_nobody_to_erase_is_an_error(ask: Run) -> None:
    result = ask("erase")

    assert result.code == 3
    assert "at least one user id" in result.err


def test_an_id_that_is_too_long_is_not_repeated(ask: Run) -> None:
    result = ask("erase", "x" * 300)

    assert result.code == 3
    assert "xxx" not in result.err


def test_an_unreadable_list_erases_nobody(ask: Run) -> None:
    Path("binary.txt").write_bytes(b"\xff\xfe\x00")

    assert "No such file" in ask("erase", "--from", "missing.txt").err
    assert "not UTF-8" in ask("erase", "--from", "binary.txt").err


def test_an_unknown_erasure_has_its_own_exit_code(ask: Run) -> None:
    result = ask("erasure", "no-such-id")

    assert result.code == 7
    assert "There is no erasure" in result.err


def test_the_standard_input_may_name_people(ask: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("ada\neve\u2028\n".encode())))

    assert ask("erase", "--from", "-", "--json").answer["users"] == 2


def test_more_people_than_one_request_may_name_are_erased_by_several(
    ask: Run, events: Path, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasing, "MAX_USERS", 2)
    ask("ingest", "--from", str(events))
    Path("leaving.txt").write_text("ada\nbob\neve\n")
    arguments = ("erase", "--from", "leaving.txt", "--request-key", "spring", "--json")
    first, again = ask(*arguments), ask(*arguments)

    records = [json.loads(f"{part}}}") for part in first.out.split("}\n")[:-1]]
    assert [record["users"] for record in records] == [2, 1]
    assert again.out == first.out
    assert ask("dau", str(day), "--json").answer["estimate"] == 0


def test_a_key_makes_a_request_safe_to_repeat(ask: Run, events: Path, day: date) -> None:
    ask("ingest", "--from", str(events))
    key = ("--request-key", 'the "first" one\\')
    erased = ask("erase", "ada", *key, "--json").answer

    assert ask("erase", "ada", *key, "--json").answer == erased
    other = ask("erase", "bob", *key, "--json")
    assert (other.code, other.problem["type"]) == (3, "request-key-reused")
    assert ask("dau", str(day), "--json").answer["estimate"] == 2


@pytest.mark.parametrize("bad", ["", "naïve", "x" * 256])
def test_a_key_that_is_none_is_refused(ask: Run, bad: str) -> None:
    result = ask("erase", "ada", "--request-key", bad)

    assert result.code == 3
    assert "1 to 255 printable ASCII characters" in result.err


def test_a_refused_request_can_be_asked_for(ask: Run) -> None:
    problem = ask("erase", "x" * 300, "--json").problem
    record = ask("erasure", problem["erasure_id"], "--json").answer

    assert (record["state"], record["refusal"]) == ("refused", problem["detail"])
    assert "Erasure refused" in ask("erasure", problem["erasure_id"]).out
    receipt = ask("erasure", problem["erasure_id"], "--receipt")
    assert (receipt.code, "nobody was erased" in receipt.err) == (7, True)


def test_a_receipt_is_shown_or_written_to_a_file(ask: Run, events: Path) -> None:
    ask("ingest", "--from", str(events))
    erased = ask("erase", "ada", "--json").answer
    shown = ask("erasure", erased["erasure_id"], "--receipt", "--json").answer
    written = ask("erasure", erased["erasure_id"], "--receipt", "--out", "receipt.json")

    assert shown["erasure"] == erased
    assert shown["days_touched"] == 2
    assert "Wrote the receipt to receipt.json" in written.out
    issued = json.loads(Path("receipt.json").read_text())
    assert {**issued, "issued_at": ""} == {**shown, "issued_at": ""}
    table = ask("erasure", erased["erasure_id"], "--receipt").out
    assert "tombstone, until" in table
    assert "2 removed" in table


def test_a_receipt_needs_a_file_that_can_be_written_and_its_option(ask: Run) -> None:
    erasure_id = ask("erase", "ada", "--json").answer["erasure_id"]

    assert ask("erasure", erasure_id, "--out", "receipt.json").code == 3
    unwritable = ask("erasure", erasure_id, "--receipt", "--out", "missing/receipt.json")
    assert (unwritable.code, "can be written" in unwritable.err) == (3, True)


def test_an_erasure_that_waits_on_this_machine_is_completed_when_it_is_asked_for(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(_: SqliteStore) -> None:
        raise StoreBusyError(0)

    def full(_: SqliteStore) -> None:
        raise StoreFullError

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "purge", held)
        waiting = run("erase", "ada", "--json").answer
        assert waiting["state"] == "received"
        assert "being purged" in run("erasure", waiting["erasure_id"]).out
        patch.setattr(SqliteStore, "purge", full)
        assert run("erase", "bob", "--json").answer["state"] == "received"
        assert "is full" in run("erasure", waiting["erasure_id"]).err
    assert run("erasure", waiting["erasure_id"], "--json").answer["state"] == "done"
