from datetime import date
from pathlib import Path

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
