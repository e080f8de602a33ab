"""Consumers as processes of their own, killed without warning in the middle of their work."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest

from support import Event
from support.nats import NatsServer
from support.streams import active_in, as_json, expected

TODAY = datetime.now(UTC).date()
DAYS = [TODAY - timedelta(days=offset) for offset in range(3)]
USERS = [f"user-{number}" for number in range(60)]
PARTS = ("0-1", "2,3")
EVENTS = [
    Event(USERS[n * 11 % len(USERS)], DAYS[n % len(DAYS)], add=n * n % 7 not in {1, 4})
    for n in range(2000)
]
CHUNK = 500
FURTHER_WHEN_KILLED = (40, 400)
"""In positions of two partitions together, which grow by twice the chunk."""


def subject(body: bytes) -> str:
    """The partition of an event's user."""
    return f"dpdau.events.{int(json.loads(body)['user_id'].removeprefix('user-')) % 4}"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path / "nats")
    try:
        server.make_streams()
        yield server
    finally:
        server.stop()


@contextmanager
def consumers(
    broker: NatsServer, data_dir: Path, *options: str
) -> Iterator[list[subprocess.Popen[str]]]:
    """One process for each half of the partitions; killed if still there at the end."""
    processes = [
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "dpdau", "consume", broker.url, "--partitions", part, *options],
            env={"DATA_DIR": str(data_dir), "BROKER_BATCH_MESSAGES": "5", "LOG_FORMAT": "json"},
            cwd=data_dir,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for part in PARTS
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def stored(data_dir: Path) -> dict[int, int]:
    """The position of each partition that the store has anything of."""
    try:
        with closing(
            sqlite3.connect(f"file:{data_dir}/dpdau.sqlite3?mode=ro", uri=True)
        ) as connection:
            rows = connection.execute(
                "SELECT name, value FROM meta WHERE name LIKE 'position in nats%'"
            ).fetchall()
    except sqlite3.OperationalError:
        return {}
    return {int(name.rpartition(".")[2]): int(value) for name, value in rows}


def reached(data_dir: Path) -> tuple[int, int]:
    """How far either process is, in positions of its two partitions together."""
    positions = stored(data_dir)
    return (
        sum(place for partition, place in positions.items() if partition < 2),
        sum(place for partition, place in positions.items() if partition >= 2),
    )


def end_each(
    data_dir: Path, processes: list[subprocess.Popen[str]], more: int, how: signal.Signals
) -> None:
    """Send a signal to either process as soon as it is so much further."""
    goals = [start + more for start in reached(data_dir)]
    running, ends = set(range(len(processes))), monotonic() + 120
    while running:
        assert monotonic() < ends
        places = reached(data_dir)
        for number in sorted(running):
            if places[number] >= goals[number]:
                processes[number].send_signal(how)
                running.discard(number)
            else:
                with pytest.raises(subprocess.TimeoutExpired):
                    processes[number].wait(0.01)


def test_nothing_is_lost_or_counted_wrongly_when_consumers_are_killed(
    broker: NatsServer, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    published = 0

    def publish_more() -> int:
        broker.publish(map(as_json, EVENTS[published : published + CHUNK]), subject)
        return published + CHUNK

    for more in FURTHER_WHEN_KILLED:
        published = publish_more()
        with consumers(broker, data_dir) as processes:
            end_each(data_dir, processes, more, signal.SIGKILL)
        assert min(stored(data_dir).values()) < published - 20, "it was done before it was killed"

    published = publish_more()
    with consumers(broker, data_dir) as processes:
        end_each(data_dir, processes, 100, signal.SIGTERM)
        for process in processes:
            _, log = process.communicate(timeout=60)
            assert process.returncode == 0, log
            assert json.loads(log.splitlines()[-1])["event"] == "consumed"

    published = publish_more()
    assert published == len(EVENTS)
    with consumers(broker, data_dir, "--drain", "--json") as processes:
        for process in processes:
            out, log = process.communicate(timeout=120)
            assert process.returncode == 0, log
            assert json.loads(out)["dead_letters"] == 0
    assert active_in(data_dir, USERS, DAYS) == expected(EVENTS, DAYS)
