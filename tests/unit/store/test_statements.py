"""The SQL files: every query is used, and the schema's steps follow each other."""

import inspect
import re
from importlib import resources
from pathlib import Path

import pytest

from dpdau.store import postgres, records, sqlite
from dpdau.store.scripts import migration_scripts, named_queries
from dpdau.store.sqlite.statements import migrations, query

PACKAGES = {"sqlite": sqlite, "postgres": postgres}
# Those of which the code picks one by what is asked.
CHOSEN = {
    "sqlite": {"ledger", "ledger_of_period"},
    "postgres": {"take_turn_shared", "take_turn_alone"},
}
NAME_IN_CODE = re.compile(
    r'\.(?:rows|row|each|run|run_for_each|bigints|counter|_erasures?)\(\s*"(\w+)"'
)


def test_a_query_is_found_by_its_name() -> None:
    assert query("meta") == "SELECT value FROM meta WHERE name = :name;"


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        query("no_such_query")


@pytest.mark.parametrize("database", PACKAGES)
def test_every_query_in_the_file_is_used_and_every_query_used_is_in_the_file(
    database: str,
) -> None:
    folder = Path(inspect.getfile(PACKAGES[database])).parent
    # What is the same for all databases asks for queries too.
    files = [Path(inspect.getfile(records)), *folder.glob("*.py")]
    code = "".join(file.read_text() for file in files)
    used = set(NAME_IN_CODE.findall(code)) | CHOSEN[database]
    assert used == set(named_queries(database))


@pytest.mark.parametrize("database", PACKAGES)
def test_every_query_is_one_statement(database: str) -> None:
    queries = named_queries(database).values()
    assert [text.count(";") for text in queries] == [1] * len(queries)


@pytest.mark.parametrize("database", PACKAGES)
def test_the_migrations_are_numbered_from_one_without_gaps(database: str) -> None:
    versions = list(migration_scripts(database))
    assert versions == list(range(1, len(versions) + 1))


def test_a_trigger_is_one_statement_in_spite_of_the_semicolons_inside() -> None:
    triggers = [s for s in migrations()[0].statements if "CREATE TRIGGER" in s]
    assert triggers
    assert all(trigger.rstrip().endswith("END;") for trigger in triggers)
    assert all(trigger.count("CREATE") == 1 for trigger in triggers)


def test_the_statements_of_a_migration_are_its_whole_file() -> None:
    files = sorted(Path(str(resources.files("dpdau.store") / "sql" / "sqlite")).glob("0*.sql"))
    assert [file.read_text() for file in files] == ["".join(s.statements) for s in migrations()]
