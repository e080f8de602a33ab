"""The service as a process of its own, over a real socket, killed without warning."""

import json
import signal
import threading
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path

import httpx

from support.process import server

SETTINGS = {
    "LATENESS_HOURS": "0",
    "RETENTION_DAYS": "3000",
    "MECHANISM_DAU": "laplace",
    "MECHANISM_MAU": "laplace",
    "EPSILON_DAU": "1e6",
    "DAU_BUDGET_TOTAL": "1e8",
    "LOG_FORMAT": "json",
    "RATE_LIMIT_PER_MINUTE": "0",
}
"""Noise is zero but for a chance of e^-1000000."""

ACKNOWLEDGED_BEFORE_KILL = (1, 20, 60)
EVENTS_PER_DAY = 20
CLIENTS = 4


@dataclass
class Ledger:
    """Which batches were sent and which were acknowledged; each batch has a day of its own."""

    shared_day: date
    numbers: "count[int]" = field(default_factory=count)
    sent: set[date] = field(default_factory=set)
    acknowledged: set[date] = field(default_factory=set)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def next_day(self) -> date:
        with self.changed:
            day = self.shared_day - timedelta(days=1 + next(self.numbers))
            self.sent.add(day)
            return day

    def acknowledge(self, day: date) -> None:
        with self.changed:
            self.acknowledged.add(day)
            self.changed.notify_all()

    def wait_for(self, more: int) -> None:
        with self.changed:
            goal = len(self.acknowledged) + more
            assert self.changed.wait_for(lambda: len(self.acknowledged) >= goal, 60)


def batch(day: date, shared_day: date) -> dict[str, object]:
    users = [f"user-{day}-{number}" for number in range(EVENTS_PER_DAY)]
    days = (day, shared_day)
    return {
        "events": [
            {"user_id": user, "op": "+", "day": str(each)} for user in users for each in days
        ]
    }


def send_until_the_server_is_gone(url: str, ledger: Ledger) -> None:
    with httpx.Client(base_url=url, timeout=60) as client:
        while True:
            day = ledger.next_day()
            try:
                answer = client.post("/event", json=batch(day, ledger.shared_day))
            except httpx.TransportError:
                return
            assert answer.json() == {"accepted": 2 * EVENTS_PER_DAY, "rejected": 0, "errors": []}
            ledger.acknowledge(day)


def counted(client: httpx.Client, day: date) -> int:
    answer = client.get(f"/dau/{day}")
    assert answer.status_code == 200, answer.text
    estimate: int = answer.json()["estimate"]
    return estimate


def test_whatever_was_acknowledged_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    ledger = Ledger(datetime.now(UTC).date() - timedelta(days=2))
    for more in ACKNOWLEDGED_BEFORE_KILL:
        with server(tmp_path, **SETTINGS) as running:
            clients = [
                threading.Thread(target=send_until_the_server_is_gone, args=(running.url, ledger))
                for _ in range(CLIENTS)
            ]
            for client in clients:
                client.start()
            ledger.wait_for(more)
            assert running.stop(signal.SIGKILL) == -signal.SIGKILL
            for client in clients:
                client.join()
    assert len(ledger.acknowledged) >= sum(ACKNOWLEDGED_BEFORE_KILL)
    with (
        server(tmp_path, **SETTINGS) as running,
        httpx.Client(base_url=running.url, timeout=60) as session,
    ):
        found = {day: counted(session, day) for day in ledger.sent}
        assert all(found[day] == EVENTS_PER_DAY for day in ledger.acknowledged)
        # What was not acknowledged is there as a whole or not at all.
        assert set(found.values()) <= {0, EVENTS_PER_DAY}
        assert counted(session, ledger.shared_day) == sum(found.values())


def test_a_service_that_is_told_to_stop_answers_what_has_begun(tmp_path: Path) -> None:
    ledger = Ledger(datetime.now(UTC).date() - timedelta(days=2))
    with server(tmp_path, **SETTINGS) as running:
        client = threading.Thread(target=send_until_the_server_is_gone, args=(running.url, ledger))
        client.start()
        ledger.wait_for(5)
        assert running.stop(signal.SIGTERM) == 0
        client.join()
    lines = [json.loads(line) for line in running.log]
    assert all(line["level"] != "error" for line in lines)
    answered = [line for line in lines if line["event"] == "request"]
    assert {(line["route"], line["status"]) for line in answered} == {("/event", 200)}
    assert len(answered) == len(ledger.acknowledged)
    # Nothing is left to be recovered from the write-ahead log of a store that was closed.
    assert not list(tmp_path.glob("*-wal"))
