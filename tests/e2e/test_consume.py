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
MESSAGES_BEFORE_KILL = (40, 400)


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


def stored(data_dir: Path) -> list[int]:
    """The positions that the store has."""
    try:
        with closing(
            sqlite3.connect(f"file:{data_dir}/dpdau.sqlite3?mode=ro", uri=True)
        ) as connection:
            rows = connection.execute("SELECT value FROM meta WHERE name LIKE 'position in nats%'")
            return [int(value) for (value,) in rows]
    except sqlite3.OperationalError:
        return []


def wait_for(data_dir: Path, processes: list[subprocess.Popen[str]], more: int) -> None:
    """Until the store is so many messages further."""
    goal, ends = sum(stored(data_dir)) + more, monotonic() + 120
    while sum(stored(data_dir)) < goal:
        assert monotonic() < ends
        for process in processes:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.01)


def test_nothing_is_lost_or_counted_wrongly_when_consumers_are_killed(
    broker: NatsServer, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    broker.publish(map(as_json, EVENTS), subject)
    for more in MESSAGES_BEFORE_KILL:
        with consumers(broker, data_dir) as processes:
            wait_for(data_dir, processes, more)
            for process in processes:
                process.send_signal(signal.SIGKILL)
    assert max(stored(data_dir)) < len(EVENTS), "they were done before they were killed"

    with consumers(broker, data_dir) as processes:
        wait_for(data_dir, processes, 20)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            _, log = process.communicate(timeout=60)
            assert process.returncode == 0, log
            assert json.loads(log.splitlines()[-1])["event"] == "consumed"

    with consumers(broker, data_dir, "--drain", "--json") as processes:
        tallies = []
        for process in processes:
            out, log = process.communicate(timeout=120)
            assert process.returncode == 0, log
            tallies.append(json.loads(out))
    assert all(0 < tally["events"] < len(EVENTS) / 2 for tally in tallies)
    assert active_in(data_dir, USERS, DAYS) == expected(EVENTS, DAYS)
