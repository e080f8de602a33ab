"""Simulated days at the highest rate that a service sustains, and whether anything wears out.

A real service runs under a clock that moves a day every few seconds. Clients send as fast as they
are answered; people join, leave, take days back and are erased, singly and by event; readers ask all
the while; each day is published as it closes, each night there is a backup, and retention drops a
day each day. At the end the store is compared with what was acknowledged, person by person, and
memory, files and latencies with what they were at the beginning.

Run: make soak [SOAK_DAYS= SOAK_SECONDS= SOAK_USERS=]
"""

import argparse
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from _crowd import HISTORY_DAYS, Crowd, DayOfLife, bodies_of, user_id
from _harness import show
from _launch import set_clock
from _process import Installation, Running
from _readers import Connection
from _sampler import Sampler
from _soak_comparison import RETENTION_DAYS, WINDOW_DAYS, Published, comparisons
from _soak_judgement import judged
from _soak_report import DOCUMENT, RESULTS, Soak, write
from _verdicts import Verdict, no_drift

__all__ = ["SECRET", "main", "soak"]

_PRESSURE = Path(__file__).with_name("_pressure.py")
_READERS = Path(__file__).with_name("_readers.py")
SECRET = secrets.token_urlsafe(24)
_READ, _INGEST, _ADMIN = (secrets.token_urlsafe(24) for _ in range(3))
_SETTINGS = {
    "HASH_SALT_SECRET": SECRET,
    "READ_API_KEY": _READ,
    "INGEST_API_KEY": _INGEST,
    "ADMIN_API_KEY": _ADMIN,
    "RATE_LIMIT_PER_MINUTE": "0",
    "LATENESS_HOURS": "0",
    "RETENTION_DAYS": str(RETENTION_DAYS),
    "MAU_WINDOW_DAYS": str(WINDOW_DAYS),
}
_FIRST_DAY = date(2031, 5, 18)
"""So that a month ends and another begins within the run."""
_CONNECTIONS = 32
_BATCH = 1_000
_KEPT_BACKUPS = "3"
_OK, _ACCEPTED = 200, 202


@dataclass
class _Stage:
    """Everything that takes part.

    Attributes:
        installed: the service's folder, settings and clock.
        crowd: who sends.
        published: what was published, with the truth.
        seconds: how long a day takes.
        folder: for the bodies of the clients.
    """

    installed: Installation
    crowd: Crowd
    published: Published
    seconds: float
    folder: Path

    def begin_day(self, today: int) -> None:
        """Let it be five minutes after midnight."""
        day = self.crowd.day(today)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        set_clock(self.installed.clock, midnight + timedelta(minutes=5))

    def questions(self, closed: int) -> list[str]:
        """What readers ask when this is the newest day that has closed; nothing on the first day."""
        if closed < HISTORY_DAYS:
            return []
        day = self.crowd.day(closed)
        month = day.replace(day=1)
        return [
            f"/dau/{day}",
            f"/mau?end={day}",
            f"/series/dau?start={month}&end={day}",
            f"/series/mau?start={month}&end={day}",
            f"/stickiness?start={month}&end={day}",
            "/budget/mau",
            "/",
        ]

    def prepare(self, life: DayOfLife, today: int) -> Path:
        """Write a day's bodies for the clients, who may still read those of the day before."""
        bodies = bodies_of(self.crowd, life, _CONNECTIONS, _BATCH)
        path = self.folder / f"bodies-{today % 2}"
        path.write_bytes(msgspec.msgpack.encode(bodies))
        return path


class _Clients:
    """A process that asks the service what it is ordered to, one order a line."""

    def __init__(self, script: Path, port: int, key: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(script), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.order(key)

    def order(self, line: str) -> None:
        """Let it do something."""
        if self._process.stdin is not None:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def figures(self) -> dict[str, Any]:
        """Wait for what it measured.

        Raises:
            RuntimeError: if it ended, since an answer was none that is expected.
        """
        line = "" if self._process.stdout is None else self._process.stdout.readline()
        if not line:
            message = f"the clients ended with {self._process.wait()}"
            raise RuntimeError(message)
        found: dict[str, Any] = json.loads(line)
        return found

    def last_figures(self) -> dict[str, Any]:
        """What it measured in all, once there are no more orders."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        return self.figures()

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def soak(days: int, seconds: float, users: int, folder: Path) -> Soak:
    """Live through days, look at everything, and judge.

    Args:
        days: how many are simulated.
        seconds: how long each lasts on this machine.
        users: how many people can join at most.
        folder: for the data, which stays the caller's to delete.

    Raises:
        RuntimeError: if the service answers what it must not, or a command fails.
    """
    data_dir = folder / "data"
    data_dir.mkdir(mode=0o700)
    crowd = Crowd(users, days, _FIRST_DAY - timedelta(days=HISTORY_DAYS))
    installed = Installation(data_dir, _SETTINGS, folder / "clock")
    stage = _Stage(installed, crowd, Published(crowd), seconds, folder)
    stage.begin_day(HISTORY_DAYS)
    with installed.serve() as running:
        lived, samples, refused = _lived(stage, running, days)
        if running.stop():
            message = f"the service did not end well: {running.log[-5:]}"
            raise RuntimeError(message)
    after = HISTORY_DAYS + days
    verdicts = judged(lived, samples, refused, most_waiting=2.0 * _CONNECTIONS * _BATCH)
    with installed.serve() as running:
        # The round at the start drops what is past the retention.
        while not any("ledger verified" in line for line in running.log):
            if running.process.poll() is not None:
                message = f"the service ended: {running.log[-5:]}"
                raise RuntimeError(message)
            time.sleep(0.1)
        verdicts.append(_budget(running, stage.published))
        running.stop()
    verdicts += comparisons(data_dir / "dpdau.sqlite3", SECRET, stage.published, after)
    verdicts += _commands(installed)
    return Soak(users=users, seconds_a_day=seconds, days=lived, samples=samples, verdicts=verdicts)


def _lived(
    stage: _Stage, running: Running, days: int
) -> tuple[list[dict[str, Any]], list[dict[str, float]], dict[int, int]]:
    """All days; gives figures of each, samples, and answers that readers should not have got."""
    port = urlsplit(running.url).port or 0
    clients = _Clients(_PRESSURE, port, _INGEST)
    readers = _Clients(_READERS, port, _READ)
    sampler = Sampler(Connection(port, _ADMIN), running.process.pid, stage.installed.data_dir)
    reader, sender = Connection(port, _READ), Connection(port, _INGEST)
    lived: list[dict[str, Any]] = []
    try:
        life = stage.crowd.history()
        clients.order(f"{stage.prepare(life, HISTORY_DAYS - 1)} 0")
        clients.figures()
        stage.crowd.apply(life, 0)
        sampler.start()
        life = stage.crowd.live(HISTORY_DAYS)
        bodies = stage.prepare(life, HISTORY_DAYS)
        for today in range(HISTORY_DAYS, HISTORY_DAYS + days):
            sampler.day = today - HISTORY_DAYS
            readers.order(json.dumps({"day": sampler.day, "paths": stage.questions(today - 1)}))
            clients.order(f"{bodies} {stage.seconds}")
            _leave(stage, sender, life, today)
            _back_up(stage)
            # While the day goes on: it is true once the clients are done, or the run has failed.
            stage.crowd.apply(life, today)
            known = int(stage.crowd.known.sum())
            life = stage.crowd.live(today + 1)
            bodies = stage.prepare(life, today + 1)
            figures = clients.figures()
            stage.begin_day(today + 1)
            closing = time.perf_counter()
            _publish(stage, reader, today)
            lived.append(
                {
                    "day": str(stage.crowd.day(today)),
                    **figures,
                    "events_a_second": figures["events"] / figures["seconds"],
                    "known_users": known,
                    "publishing_seconds": time.perf_counter() - closing,
                }
            )
            print(_line(lived[-1], sampler.samples), flush=True)
            # A line a request would be all that grows here.
            running.log.clear()
        sampler.stop()
        read = readers.last_figures()
    finally:
        for process in (clients, readers):
            process.stop()
        for connection in (reader, sender):
            connection.close()
    nothing = {"reads": 0, "read_p50_ms": 0.0, "read_p99_ms": 0.0}
    lived = [
        {**figures, **read["days"].get(str(number), nothing)}
        for number, figures in enumerate(lived)
    ]
    return lived, sampler.samples, {int(k): count for k, count in read["refused"].items()}


def _leave(stage: _Stage, sender: Connection, life: DayOfLife, today: int) -> None:
    """Erase people, each by a request of their own, and others by events."""
    for user in life.erased.tolist():
        _asked(sender, "POST", "/erasure", {"user_id": user_id(user)})
    if len(life.leaving):
        day = str(stage.crowd.day(today))
        events = [
            {"user_id": user_id(user), "op": "-", "day": day, "scope": "user"}
            for user in life.leaving.tolist()
        ]
        _asked(sender, "POST", "/event", {"events": events})


def _publish(stage: _Stage, reader: Connection, closed: int) -> None:
    """Ask for the day that has closed, as its first reader."""
    day = stage.crowd.day(closed)
    for path in (f"/dau/{day}", f"/mau?end={day}"):
        _asked(reader, "GET", path)
    stage.published.through(closed)


def _back_up(stage: _Stage) -> None:
    done = stage.installed.run("backup", "--keep", _KEPT_BACKUPS)
    if done.returncode:
        message = f"the backup ended with {done.returncode}: {done.stderr}"
        raise RuntimeError(message)


def _asked(
    connection: Connection, method: str, path: str, body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """An answer that must be good."""
    content = None if body is None else json.dumps(body).encode()
    status, told = connection.ask(method, path, content)
    if status not in {_OK, _ACCEPTED}:
        message = f"{method} {path} was answered with {status}: {told.decode()}"
        raise RuntimeError(message)
    found: dict[str, Any] = json.loads(told)
    return found


def _budget(running: Running, published: Published) -> Verdict:
    """Whether each period has exactly the releases that were made, within its cap."""
    connection = Connection(urlsplit(running.url).port or 0, _READ)
    periods = _asked(connection, "GET", "/budget")["periods"]
    connection.close()
    stated = {(each["metric"], each["period"]): each for each in periods}
    made = {(str(metric), period): len(t) for (metric, period), t in published.totals.items()}
    wrong = {
        f"{metric} {period}": int(
            (metric, period) not in stated
            or stated[metric, period]["releases"] != count
            or stated[metric, period]["epsilon_spent"] > stated[metric, period]["epsilon_cap"]
        )
        for (metric, period), count in made.items()
    }
    wrong["others"] = len(stated.keys() - made.keys())
    return no_drift("releases that budgets were charged for", wrong, published.rows)


def _commands(installed: Installation) -> list[Verdict]:
    """What the ledger's own check and the doctor say."""
    verified = installed.run("verify")
    told = (verified.stdout + verified.stderr).strip().splitlines()
    findings = json.loads(installed.run("doctor", "--json").stdout)["findings"]
    # All of a soak lies on one disk, of which the doctor warns.
    bad = {
        each["check"]: 1
        for each in findings
        if each["state"] != "ok" and each["check"] != "ledger head"
    }
    return [
        Verdict("dpdau verify", not verified.returncode, "exit code 0", told[-1] if told else ""),
        no_drift("findings of dpdau doctor", bad, len(findings)),
    ]


def _line(figures: dict[str, Any], samples: Sequence[dict[str, float]]) -> str:
    memory = f"{samples[-1]['resident_mib']:,.0f} MiB" if samples else "no sample yet"
    return (
        f"{figures['day']}: {figures['events_a_second']:,.0f} events/s, p99 {figures['p99_ms']:.0f} "
        f"ms, {figures['known_users']:,} users known, {memory}"
    )


def _print(result: Soak) -> None:
    rows = [
        (each.what, {True: "yes", False: "NO", None: "-"}[each.holds], each.found, each.allowed)
        for each in result.verdicts
    ]
    show(f"{len(result.days)} days of a soak", ("what", "holds", "found", "allowed"), rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Soak, print the verdicts, keep figures and drawing; returns the exit code."""
    parser = argparse.ArgumentParser(description="Let a service live through many days.")
    parser.add_argument("--days", type=int, default=30, help="how many")
    parser.add_argument("--seconds", type=float, default=40.0, help="how long each lasts")
    parser.add_argument("--users", type=int, default=1_000_000, help="who can join at most")
    parser.add_argument("--results", type=Path, default=RESULTS, help="a folder")
    parser.add_argument("--into", type=Path, default=DOCUMENT, help="a document with marks")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = soak(options.days, options.seconds, options.users, Path(folder))
        except RuntimeError as error:
            print(f"Error: {error}", file=sys.stderr)
            return 1
    _print(result)
    for path in write(result, options.results, options.into):
        print(f"Wrote {path}.")
    return 0 if result.holds else 1


if __name__ == "__main__":
    sys.exit(main())
