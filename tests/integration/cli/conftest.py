import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dpdau.cli import main
from dpdau.config import load_settings
from support.builders import EXACT
from support.command_line import Result, Run, serving


@pytest.fixture
def day() -> date:
    """A day that is closed and retained."""
    return datetime.now(UTC).date() - timedelta(days=5)


@pytest.fixture(autouse=True)
def exact_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder to work in, and settings under which noise is zero."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    for name, value in EXACT.items():
        monkeypatch.setenv(name.upper(), f"{value:.0f}" if isinstance(value, float) else value)


@pytest.fixture
def realistic(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default settings, but with a MAU plan that takes no time to design."""
    for name in EXACT:
        monkeypatch.delenv(name.upper())
    monkeypatch.setenv("W_BOUND_MAU", "unbounded")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command in this process."""

    def run(*arguments: str) -> Result:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture(params=["store", "server"])
def ask(request: pytest.FixtureRequest, run: Run) -> Run:
    """Run one command on the store, and again on a server."""
    if request.param == "store":
        return run
    url = request.getfixturevalue("url")
    return lambda *arguments: run(*arguments, "--url", url)


@pytest.fixture
def url() -> Iterator[str]:
    """The address of a server on the store."""
    with capture_logs(), serving(load_settings()) as address:
        yield address


@pytest.fixture
def serve(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Start a server with settings of its own; gives its address."""

    def serve(**settings: str) -> str:
        with monkeypatch.context() as environment:
            for name, value in settings.items():
                environment.setenv(name, value)
            return str(request.getfixturevalue("url"))

    return serve


@pytest.fixture
def events(tmp_path: Path, day: date) -> Path:
    """Three people on one day and two of them on the next, one of whom is new."""
    rows = [("ada", 0), ("bob", 0), ("eve", 0), ("ada", 1), ("joe", 1)]
    lines = [
        json.dumps({"user_id": user, "op": "+", "day": str(day + timedelta(days=later))})
        for user, later in rows
    ]
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(lines) + "\n")
    return file
