"""What the service verifies by itself, when, and how operators learn of it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from dpdau.application import Application
from dpdau.errors import LedgerDamagedError, StoreBusyError
from dpdau.service.verification import LedgerVerifier
from dpdau.store import MemoryStore
from support import application
from support.service import Service, assert_problem

HOUR = 3_600.0


class Timer:
    """Seconds that pass only when told to, and with every verification."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def gauges(verifier: LedgerVerifier) -> dict[str, float]:
    return {each.name: each.value for family in verifier.collect() for each in family.samples}


@pytest.fixture
def timer() -> Timer:
    return Timer()


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    """A product without a service, which would verify too."""
    with application(tmp_path, store=MemoryStore()) as opened:
        yield opened


@pytest.fixture
def verify(
    app: Application, timer: Timer, monkeypatch: pytest.MonkeyPatch
) -> Callable[[float], Mock]:
    """Let verifications take that many seconds; gives what is called."""

    def lasting(seconds: float) -> Mock:
        genuine = Application.verify

        def slow() -> object:
            timer.now += seconds
            return genuine(app)

        called = Mock(side_effect=slow)
        monkeypatch.setattr(Application, "verify", lambda _: called())
        return called

    return lasting


def test_nothing_is_shown_before_the_first(app: Application, timer: Timer) -> None:
    assert gauges(LedgerVerifier(app, timer=timer)) == {}


def test_the_first_is_due_at_once_and_the_next_an_hour_later(
    app: Application, timer: Timer, verify: Callable[[float], Mock]
) -> None:
    called = verify(2.0)
    verifier = LedgerVerifier(app, timer=timer)
    verifier.run_if_due()
    assert gauges(verifier) == {
        "dp_verification_ok": 1,
        "dp_verification_timestamp_seconds": app.calendar.now().timestamp(),
        "dp_verification_seconds": 2.0,
    }
    timer.now += HOUR - 1
    verifier.run_if_due()
    assert called.call_count == 1
    timer.now += 1
    verifier.run_if_due()
    assert called.call_count == 2


def test_one_that_takes_long_is_done_less_often(
    app: Application, timer: Timer, verify: Callable[[float], Mock]
) -> None:
    called = verify(60.0)
    verifier = LedgerVerifier(app, timer=timer)
    verifier.run_if_due()
    timer.now += 99 * 60 - 1
    verifier.run_if_due()
    assert called.call_count == 1
    timer.now += 1
    verifier.run_if_due()
    assert called.call_count == 2


def test_a_fault_is_shown_and_logged_and_looked_for_again_after_the_pause(
    app: Application,
    timer: Timer,
    verify: Callable[[float], Mock],
    capsys: pytest.CaptureFixture[str],
) -> None:
    called = verify(1.0)
    called.side_effect = LedgerDamagedError(7, "it was forged")
    verifier = LedgerVerifier(app, timer=timer)
    verifier.run_if_due()
    verifier.run_if_due()
    assert called.call_count == 1
    assert gauges(verifier)["dp_verification_ok"] == 0
    logged = capsys.readouterr().out
    assert "verification failed" in logged
    assert "row 7" in logged


def test_a_store_that_cannot_be_read_is_no_fault_of_the_ledger_and_is_tried_again(
    app: Application,
    timer: Timer,
    verify: Callable[[float], Mock],
    capsys: pytest.CaptureFixture[str],
) -> None:
    called = verify(0.0)
    called.side_effect = StoreBusyError(10)
    verifier = LedgerVerifier(app, timer=timer)
    verifier.run_if_due()
    verifier.run_if_due()
    assert called.call_count == 2
    assert gauges(verifier) == {}
    assert "verification broken off" in capsys.readouterr().out


def test_a_verification_on_request_is_shown_too(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert service.client.get("/ledger/verify").json()["rows"] == 0
    assert "dp_verification_ok 1.0" in service.client.get("/metrics").text
    damaged = Mock(side_effect=LedgerDamagedError(1, "it was forged"))
    monkeypatch.setattr(Application, "verify", damaged)
    assert_problem(service.client.get("/ledger/verify"), 503, "ledger-damaged")
    assert "dp_verification_ok 0.0" in service.client.get("/metrics").text
