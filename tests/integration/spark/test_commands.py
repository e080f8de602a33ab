"""`dpdau spark` as its users see it."""

import importlib
import sys
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from dpdau.cli import main
from support import Event
from support.command_line import Result, Run
from support.warehouse import Arrival, write_events

pytestmark = pytest.mark.usefixtures("event_log")

LAST = datetime.now(UTC).date() - timedelta(days=2)
SETTINGS = {
    "ACTIVITY_SOURCE": "spark",
    "W_BOUND_MAU": "unbounded",
    "LATENESS_HOURS": "0",
    "HASH_SALT_SECRET": "a secret of the tests of commands",
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command in this process."""
    monkeypatch.chdir(tmp_path)
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Result:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def events(tmp_path: Path) -> str:
    """Thirteen people who were active on a day that is closed."""
    at = datetime.combine(LAST, time(12), UTC)
    arrivals = [Arrival(Event(f"user-{number}", LAST), at) for number in range(13)]
    write_events(tmp_path / "events" / "one.parquet", arrivals)
    return str(tmp_path / "events")


def test_publish_names_what_is_new_and_tells_no_total(run: Run, events: str) -> None:
    through = ("--through", LAST.isoformat(), "--from", LAST.isoformat())
    answer = run("spark", "publish", events, *through, "--json").answer
    assert f"dau-1d-{LAST}" in answer["published"]
    again = run("spark", "publish", events, *through)
    assert again.out == "Nothing was due: every closed day has its value.\n"
    assert again.err == ""
    value = run("dau", LAST.isoformat(), "--json").answer
    assert value["release_id"] == f"dau-1d-{LAST}"
    assert run("verify").code == 0


def test_what_was_landed_is_published_and_compacted(run: Run, events: str) -> None:
    assert run("spark", "land", events).out == "Took in 1 batch.\n"
    assert run("spark", "land", events).out == "Nothing was left to take in.\n"
    assert run("spark", "land", events, "--json").answer == {"batches": 0}
    assert run("spark", "compact", "--json").answer == {"batches": 1}
    assert "hold nobody who was erased" in run("spark", "compact").out
    through = ("--through", LAST.isoformat(), "--from", LAST.isoformat())
    assert run("spark", "publish", *through).code == 0


def test_bad_rows_end_it_with_their_reasons(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(f"user_id,op,day,n\n,+,{LAST},1\nada,*,{LAST},2\n")
    given = ("--format", "csv", "--option", "header=true", "--option", "inferSchema=true")
    said = ("--order", "n", "--from", LAST.isoformat())
    result = run("spark", "publish", str(tmp_path / "bad.csv"), *given, *said)
    assert result.code == 3
    assert "2 rows are no events (1 with an op that" in result.err
    assert "--max-bad 2" in result.err
    assert "ada" not in result.err
    result = run("spark", "publish", str(tmp_path / "bad.csv"), *given, *said, "--max-bad", "2")
    assert result.code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("publish", "x", "--option", "header"), 3, "--option is 'header'; expected NAME=VALUE"),
        (("publish", "x", "--table", "y"), 3, "expected paths of files, or one table"),
        (("land",), 3, "expected paths of files, or one table"),
        (("publish", "x", "--through", "monday"), 3, "--through is 'monday'"),
        (("publish", "--max-bad", "-1"), 2, "--max-bad"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    run: Run, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = run("spark", *arguments)
    assert result.code == code
    assert message in " ".join(result.err.split())


def test_a_store_that_counts_itself_is_handed_over(
    run: Run, events: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTIVITY_SOURCE", "store")
    refused = run("spark", "publish", events)
    assert refused.code == 7
    assert "dpdau spark adopt" in refused.err
    monkeypatch.setenv("MECHANISM_DAU", "laplace")
    assert "continual, as ACTIVITY_SOURCE is spark" in run("spark", "adopt").err
    monkeypatch.delenv("MECHANISM_DAU")
    assert "set ACTIVITY_SOURCE=spark" in run("spark", "adopt").out
    assert run("ledger").code == 2
    monkeypatch.setenv("ACTIVITY_SOURCE", "spark")
    Path("more.csv").write_text(f"user_id,op,day\nada,+,{LAST}\n")
    ingested = run("ingest", "--from", "more.csv")
    assert ingested.code == 7
    assert "takes no events" in ingested.err
    assert run("spark", "publish", events, "--from", LAST.isoformat()).code == 0


def test_without_its_libraries_it_says_what_is_missing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [each for each in sys.modules if each.startswith("dpdau.spark")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    result = run("spark", "compact")
    assert result.code == 2
    assert "pip install 'dpdau[spark]'" in result.err


def test_without_java_it_says_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    session = importlib.import_module("dpdau.spark.session")

    class Broken:
        def __getattr__(self, _: str) -> Any:
            raise OSError

    monkeypatch.setattr(session, "SparkSession", Broken())
    result = run("spark", "compact")
    assert result.code == 2
    assert "Java 17 or newer" in result.err
