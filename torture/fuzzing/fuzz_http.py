"""Ask a service, for as long as you like, what it describes and what it does not.

Run: python torture/fuzzing/fuzz_http.py [--seconds N] [--seed N] [--url URL [--pid PID]]

Starts services of its own, without keys and with, and asks them as `_described` and `_hostile` do.
Prints what they answered, and their memory. Exits with 1 if any answer was a server's error, told of
the program's inside or failed a check of schemathesis; if a fault stands in a log; or if memory did
not level off: everything is done twice, so the second half should find all that it needs in place. With --url it asks a service that runs already, without a key.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from _described import send_described
from _hostile import send_hostile
from _launch import set_clock
from _process import Installation, Running
from _watching import Memory, Tally

__all__ = ["main"]

_NOW = datetime(2025, 11, 20, 12, tzinfo=UTC)
_USERS = 500
_DAYS = 30
_KEYS = {
    "SERVICE_API_KEY": "a-key-for-everything",
    "INGEST_API_KEY": "a-key-for-events-only",
    "READ_API_KEY": "a-key-for-readers-only",
    "ADMIN_API_KEY": "a-key-for-operators-only",
}
_SALT = "what the fuzzers have for a secret"
_SETTINGS = {
    "HASH_SALT_SECRET": _SALT,
    "LATENESS_HOURS": "0",
    "RETENTION_DAYS": "61",
    "RATE_LIMIT_PER_MINUTE": "0",
    "LOG_FORMAT": "json",
    "MAX_BODY_BYTES": str(1 << 20),
}
# With fewer, what is in memory is what was used for the first time.
_ENOUGH_REQUESTS = 5_000
# What a service without keys gets of the time.
_OPEN_SHARE = 0.6


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Fuzz the service over HTTP.")
    parser.add_argument("--seconds", type=int, default=120, help="for how long (default: 120)")
    parser.add_argument("--seed", type=int, default=0, help="other requests (default: 0)")
    parser.add_argument("--url", help="of a service that runs already")
    parser.add_argument("--pid", type=int, default=0, help="its process, to watch its memory")
    asked = parser.parse_args(arguments)
    if asked.url is not None:
        tally, memory = Tally(), Memory(asked.pid)
        with memory.watched():
            _ask_openly(asked.url, tally, asked.seconds, asked.seed)
        return _told("the service", tally, memory)
    with tempfile.TemporaryDirectory() as folder:
        return _open_and_locked(Path(folder), asked.seconds, asked.seed)


def _open_and_locked(folder: Path, seconds: int, seed: int) -> int:
    """Fuzz a service without keys, then one with; returns the exit code."""
    openly, locked = Tally(), Tally()
    (folder / "open").mkdir()
    (folder / "locked").mkdir()
    set_clock(folder / "clock", _NOW)
    service = Installation(folder / "open", _SETTINGS, folder / "clock")
    is_good = _watched(
        "without keys",
        service,
        openly,
        lambda url: _ask_openly(url, openly, round(seconds * _OPEN_SHARE), seed),
    )
    service = Installation(folder / "locked", _SETTINGS | _KEYS, folder / "clock")
    is_locked_good = _watched(
        "with keys",
        service,
        locked,
        lambda url: _ask_with_keys(url, locked, round(seconds * (1 - _OPEN_SHARE)), seed),
    )
    return 0 if is_good and is_locked_good else 1


def _watched(title: str, service: Installation, tally: Tally, ask: Callable[[str], None]) -> bool:
    """Start a service, ask it, and print what came of it; returns whether all was good."""
    with service.serve() as running:
        _fill(running, service.settings.get("SERVICE_API_KEY"))
        memory = Memory(running.process.pid)
        with memory.watched():
            ask(running.url)
        if running.process.poll() is not None:
            tally.found(f"the service ended with {running.process.returncode}")
        elif running.stop() != 0:
            tally.found("the service did not end well")
        for line in running.log:
            if '"event": "fault"' in line or '"event":"fault"' in line or "Traceback" in line:
                tally.found(f"a fault in the log: {line.strip()[:1_000]}")
        return _told(title, tally, memory) == 0


def _fill(running: Running, key: str | None) -> None:
    """Send some activity, so that there is something to ask for."""
    today = _NOW.date()
    lines = [
        json.dumps({"user_id": f"user {user}", "op": "+", "day": str(today - timedelta(day))})
        for day in range(_DAYS)
        for user in range(day, _USERS + day)
    ]
    headers = {"Content-Type": "application/x-ndjson"} | ({"X-API-Key": key} if key else {})
    with httpx.Client(base_url=running.url, headers=headers, timeout=120) as client:
        client.post("/event", content="\n".join(lines)).raise_for_status()
        client.get("/mau").raise_for_status()


def _ask_openly(url: str, tally: Tally, seconds: int, seed: int) -> None:
    for round_seed in (2 * seed, 2 * seed + 1):
        send_described(url, tally, seconds // 3, round_seed)
        send_hostile(url, _paths(url), tally, seconds / 6, seed=round_seed)


def _ask_with_keys(url: str, tally: Tally, seconds: int, seed: int) -> None:
    """Half the time with a key for everything, the rest with narrower ones, a wrong one, none."""
    everything, *narrow = _KEYS.values()
    others = [*narrow, "a-key-of-something-else", ""]
    for round_seed in (2 * seed, 2 * seed + 1):
        send_described(url, tally, seconds // 4, round_seed, key=everything)
        for key in others:
            header = ("X-API-Key", key) if key else None
            share = seconds / 4 / len(others)
            send_hostile(url, _paths(url), tally, share, seed=round_seed, header=header)


def _paths(url: str) -> dict[str, list[str]]:
    document = httpx.get(f"{url}/openapi.json", timeout=120).json()
    return {path: list(methods) for path, methods in document["paths"].items()} | {
        "/openapi.json": ["get"],
        "/dashboard/{asset}": ["get"],
        "/{anything}": ["get", "post"],
    }


def _told(title: str, tally: Tally, memory: Memory) -> int:
    """Print what came of it; returns the exit code."""
    table = Table(title=f"{title}: {tally.requests:,} requests")
    table.add_column("operation")
    table.add_column("requests", justify="right")
    table.add_column("answers")
    others: dict[int, int] = {}
    for operation, statuses in tally.statuses().items():
        known = operation.split(" ")[0] in {"GET", "POST"}
        if not known:
            others = {
                status: others.get(status, 0) + statuses.get(status, 0)
                for status in {*others, *statuses}
            }
            continue
        _add(table, operation, statuses)
    _add(table, "other methods", others)
    console = Console(width=120)
    console.print(table)
    if memory.samples:
        first, second = memory.growth()
        print(
            f"memory: {memory.samples[0]:.0f} MiB at first, {memory.samples[-1]:.0f} MiB at last; "
            f"{first:+.1f} MiB in the first half and {second:+.1f} MiB in the second"
        )
        if tally.requests >= _ENOUGH_REQUESTS and not memory.levels_off():
            tally.found(f"memory does not level off: {first:+.1f} MiB, then {second:+.1f} MiB")
    for finding in tally.findings:
        print(f"FINDING: {finding}")
    print(f"{title}: {len(tally.findings)} findings")
    return 1 if tally.findings else 0


def _add(table: Table, operation: str, statuses: dict[int, int]) -> None:
    answers = "  ".join(f"{status}: {count:,}" for status, count in sorted(statuses.items()))
    table.add_row(operation, f"{sum(statuses.values()):,}", answers)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
