"""The SQL files: every query is used, and the schema's steps follow each other."""

import inspect
import re
from importlib import resources
from pathlib import Path

import pytest

from dpdau.store import sqlite
from dpdau.store.sqlite.statements import migrations, named_queries, query

NAME_IN_CODE = re.compile(r'\.(?:rows|row|each|run|run_for_each)\(\s*"(\w+)"')


def test_a_query_is_found_by_its_name() -> None:
    assert query("meta") == "SELECT value FROM meta WHERE name = :name;"


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        query("no_such_query")


def test_every_query_in_the_file_is_used_and_every_query_used_is_in_the_file() -> None:
    folder = Path(inspect.getfile(sqlite)).parent
    code = "".join(file.read_text() for file in folder.glob("*.py"))
    # The reader picks one of these two by what is asked.
    used = set(NAME_IN_CODE.findall(code)) | {"ledger", "ledger_of_period"}
    assert used == set(named_queries())


def test_every_query_is_one_statement() -> None:
    assert [text.count(";") for text in named_queries().values()] == [1] * len(named_queries())


def test_the_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [step.version for step in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_trigger_is_one_statement_in_spite_of_the_semicolons_inside() -> None:
    triggers = [s for s in migrations()[0].statements if "CREATE TRIGGER" in s]
    assert triggers
    assert all(trigger.rstrip().endswith("END;") for trigger in triggers)
    assert all(trigger.count("CREATE") == 1 for trigger in triggers)


def test_the_statements_of_a_migration_are_its_whole_file() -> None:
    files = sorted(Path(str(resources.files("dpdau.store") / "sql")).glob("0*.sql"))
    assert [file.read_text() for file in files] == ["".join(s.statements) for s in migrations()]
