import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from structlog.testing import capture_logs

from dpdau.bootstrap import build
from dpdau.cli import main
from dpdau.config import Settings, load_settings
from dpdau.service import create_app
from support.builders import EXACT


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def answer(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)

    @property
    def problem(self) -> Any:
        assert self.out == ""
        return json.loads(self.err)


Run = Callable[..., Result]


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


class serving:  # noqa: N801 - a context manager
    """A server in a thread of this process."""

    def __init__(self, settings: Settings) -> None:
        self._application = build(settings)
        app = create_app(self._application, settings)
        config = uvicorn.Config(app, port=0, log_config=None, ws="none", access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            self._thread.join(0.01)
        host, port = self._server.servers[0].sockets[0].getsockname()
        return f"http://{host}:{port}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._application.close()


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
