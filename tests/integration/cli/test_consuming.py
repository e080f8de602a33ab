import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from support import Event
from support.command_line import Run
from support.nats import NatsServer
from support.streams import as_json


@pytest.fixture(autouse=True)
def _logs_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command would send this process's log lines elsewhere for good."""
    monkeypatch.setattr("dpdau.streams.running.configure_logs", lambda _: None)
    with capture_logs():
        yield


def test_without_a_broker_it_says_what_is_missing(run: Run) -> None:
    result = run("consume")
    assert result.code == 2
    assert "BROKER_URL is not set" in result.err


@pytest.mark.parametrize("url", ["nats://ada:hunter2@localhost", "redis://localhost", "localhost"])
def test_an_address_that_is_none_is_refused_and_not_repeated(run: Run, url: str) -> None:
    result = run("consume", url)
    assert result.code == 2
    assert "no user or password in it" in result.err
    assert "hunter2" not in result.err


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"BROKER_DEAD_SUBJECT": "dpdau.events.dead"}, "outside of BROKER_SUBJECT"),
        ({"BROKER_DEAD_SUBJECT": "dpdau.events"}, "outside of BROKER_SUBJECT"),
        ({"BROKER_USER": "ada"}, "expected both or neither"),
        (
            {"BROKER_USER": "ada", "BROKER_PASSWORD": "hunter2", "BROKER_CREDENTIALS": "a.creds"},
            "no value beside BROKER_USER",
        ),
        ({"BROKER_PARTITIONS": "3-1"}, "ranges such as 0-3"),
        ({"BROKER_PARTITIONS": "10000"}, "numbers from 0 to 9999"),
        ({"BROKER_SUBJECT": "dpdau.>"}, "letters, digits"),
        ({"BROKER_CREDENTIALS": "missing.creds"}, "expected a file that is there"),
        ({"BROKER_CA_FILE": "missing.pem"}, "BROKER_CA_FILE is 'missing.pem'"),
        ({"BROKER_CA_FILE": "dpdau.txt"}, "holds no certificates"),
    ],
)
def test_settings_that_do_not_fit_are_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], problem: str
) -> None:
    Path("dpdau.txt").write_text("nothing")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    result = run("consume", "nats+tls://localhost")
    assert result.code == 2
    assert problem in result.err
    assert "hunter2" not in result.err


@pytest.mark.parametrize("kind", ["nats", "kafka"])
def test_without_the_extra_it_says_how_to_install_it(run: Run, kind: str) -> None:
    with patch.dict(sys.modules, {f"dpdau.streams.{kind}": None}):
        result = run("consume", f"{kind}://localhost:1")
    assert result.code == 2
    assert "pip install 'dpdau[broker]'" in result.err


def test_it_tells_what_was_read_and_what_is_not_set_up(run: Run, tmp_path: Path, day: date) -> None:
    server = NatsServer(tmp_path / "nats")
    try:
        assert "has the subject dpdau.events" in run("consume", server.url, "--drain").err
        server.make_streams()
        server.publish([as_json(Event("ada", day)), b"garbage"])
        result = run("consume", server.url, "--drain", "--json")
        assert result.answer["events"] == 1
        assert result.answer["dead_letters"] == 1
        assert run("consume", server.url, "--drain").out.split() == [
            *("Read", "from", "the", "broker", "messages", "0", "events", "0"),
            *("dead", "letters", "0", "interruptions", "0"),
        ]
    finally:
        server.stop()
