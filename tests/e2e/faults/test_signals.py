"""Signals: a service that is told to end, or is held for a while."""

import signal
import threading
from pathlib import Path

import httpx
import pytest

from _process import Installation
from support.installations import Visitor, installed, visited


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return installed(tmp_path)


class Sender(threading.Thread):
    """Sends batch after batch until the service is gone."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.visitor = Visitor(url)
        self.some = threading.Event()

    def run(self) -> None:
        with self.visitor as visitor:
            number = 0
            while True:
                number += 1
                try:
                    answer = visitor.send(*(f"user-{number}-{each}" for each in range(50)))
                except httpx.TransportError:
                    return
                assert answer.status_code == 200
                if number == 3:
                    self.some.set()


ENDS = {
    "SIGTERM": ([signal.SIGTERM], 0),
    "SIGTERM twice": ([signal.SIGTERM, signal.SIGTERM], 0),
    "SIGHUP": ([signal.SIGHUP], 0),
    "SIGINT": ([signal.SIGINT], 130),
}


def test_whoever_ends_it_every_acknowledged_event_is_there_and_the_log_is_copied_back(
    installation: Installation,
) -> None:
    expected = 0
    for signals, status in ENDS.values():
        with installation.serve() as running:
            sender = Sender(running.url)
            sender.start()
            assert sender.some.wait(60)
            for each in signals:
                running.process.send_signal(each)
            assert running.wait() == status
            sender.join(60)
        expected = max(expected, len(*sender.visitor.acknowledged.values()))
        assert not [line for line in running.log if '"level": "error"' in line]
        assert not list(installation.data_dir.glob("*-wal"))
    with visited(installation) as (_, visitor):
        assert visitor.dau().json()["estimate"] >= expected


def test_a_service_that_is_held_for_a_while_answers_what_came_meanwhile(
    installation: Installation,
) -> None:
    with visited(installation, HEAD_SECONDS="0.5", BODY_SECONDS="0.5") as (running, visitor):
        visitor.send("ada")
        running.process.send_signal(signal.SIGSTOP)
        answers: list[int] = []
        waiting = threading.Thread(
            target=lambda: answers.append(visitor.send("bob", "eve").status_code)
        )
        waiting.start()
        waiting.join(1.5)
        assert waiting.is_alive()
        running.process.send_signal(signal.SIGCONT)
        waiting.join(60)
        assert answers == [200]
        assert visitor.dau().json()["estimate"] == 3
        assert running.stop() == 0
