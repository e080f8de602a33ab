"""How many events a second come in over HTTP, and how long readers wait meanwhile.

32 connections send JSON batches, each when its last one was acknowledged, which happens after
the events are on disk. One million users, today's events and yesterday's, 70 % of them repeats
of a user and day that came before, 2 % retractions. Client, probe and service share the machine.

Rivals keep one row per day and user in SQLite, upserted, also in grouped commits: once behind
this product's own HTTP service, of which only the storage is replaced, and once behind FastAPI's
body models. The same service with no storage at all is no rival: it shows what the rest takes. A
probe meanwhile asks for a released day, twenty times a second.

Run: python bench/ingest_http.py [--short]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from _harness import SECRET, Events, keep, made_up_events, median, serving, show, stored_counts

BENCH = Path(__file__).parent
CONNECTIONS = 32
DAYS = 2
NO_STORAGE = "no storage, same service"
SERVICES: Mapping[str, Sequence[str]] = {
    "this product": ("-m", "dpdau", "serve"),
    "rows, same service": (str(BENCH / "_rival_service.py"), "rows"),
    "rows, FastAPI models": (str(BENCH / "_rival_service.py"), "models"),
    NO_STORAGE: (str(BENCH / "_rival_service.py"), "nothing"),
}
PROBE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent.

    Attributes:
        batch: events of a request.
        users: how many people there are.
        events: how many events in all.
        runs: how often each service is measured, on a new store each time.
    """

    batch: int
    users: int
    events: int
    runs: int


LOADS = (Load(1_000, 1_000_000, 3_200_000, 3), Load(100, 1_000_000, 960_000, 3))
SHORT = (Load(100, 2_000, 32_000, 1),)


@dataclass
class Prepared:
    """Bodies in a file for the client, and what must be counted afterwards."""

    file: Path
    counts: dict[str, int] = field(default_factory=dict)


def prepare(load: Load, folder: Path) -> Prepared:
    """Write the bodies; each connection has users of its own, so that their order is known."""
    own = load.users // CONNECTIONS
    prepared = Prepared(folder / f"bodies-{load.batch}")
    bodies = []
    for connection in range(CONNECTIONS):
        events = made_up_events(
            load.events // CONNECTIONS,
            users=own,
            days=DAYS,
            end=datetime.now(UTC).date(),
            first_user=connection * own,
            seed=connection,
        )
        for day, count in events.counts().items():
            prepared.counts[day] = prepared.counts.get(day, 0) + count
        bodies.append(bodies_of(events, load.batch))
    prepared.file.write_bytes(msgspec.msgpack.encode(bodies))
    return prepared


def bodies_of(events: Events, batch: int) -> list[bytes]:
    """The events as JSON batches."""
    names = {day: date.fromordinal(day).isoformat() for day in set(events.days.tolist())}
    texts = [
        f'{{"user_id":"user-{user:07}","op":"{"+" if add else "-"}","day":"{names[day]}"}}'
        for user, day, add in zip(
            events.users.tolist(), events.days.tolist(), events.adds.tolist(), strict=True
        )
    ]
    starts = range(0, len(texts), batch)
    return [f'{{"events":[{",".join(texts[at : at + batch])}]}}'.encode() for at in starts]


def measure(service: str, prepared: Prepared, load: Load) -> dict[str, Any]:
    """Start a service, send everything, and check what it holds."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        options = {"hash_salt_secret": SECRET, "rate_limit_per_minute": 0, "lateness_hours": 0}
        with serving(data_dir, command=SERVICES[service], **options) as port:
            probe = Probe(port) if service == "this product" else None
            client = [sys.executable, str(BENCH / "_load.py"), str(port), str(prepared.file)]
            output = subprocess.run(client, check=True, stdout=subprocess.PIPE).stdout
            waits = probe.stop() if probe else []
            sent = json.loads(output)
            counts = (
                None if probe else {day: _get(port, f"/exact/{day}") for day in prepared.counts}
            )
        if counts is None:
            days = [date.fromisoformat(day) for day in prepared.counts]
            counts = stored_counts(data_dir, days)
    expected = dict.fromkeys(prepared.counts, 0) if service == NO_STORAGE else prepared.counts
    if sent["failures"] or counts != expected:
        message = f"{service}: {sent['failures'][:1]} or {counts} is not {expected}"
        raise AssertionError(message)
    return {
        "events_per_second": load.events / sent["seconds"],
        "p50_ms": 1e3 * quantile(sent["latencies"], 0.50),
        "p99_ms": 1e3 * quantile(sent["latencies"], 0.99),
        "probe_p99_ms": 1e3 * quantile(sorted(waits), 0.99) if waits else None,
    }


class Probe:
    """Asks for a released value again and again and notes how long each answer takes."""

    def __init__(self, port: int) -> None:
        closed = datetime.now(UTC).date() - timedelta(days=DAYS)
        self._port, self._path = port, f"/dau/{closed}"
        _get(port, self._path)  # releases the day
        self._stopping = threading.Event()
        self._waits: list[float] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> list[float]:
        """How long the answers took, in seconds."""
        self._stopping.set()
        self._thread.join()
        return self._waits

    def _run(self) -> None:
        while not self._stopping.wait(PROBE_SECONDS):
            started = time.perf_counter()
            _get(self._port, self._path)
            self._waits.append(time.perf_counter() - started)


def _get(port: int, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return json.load(answer)


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of the sorted values lies."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def compare(load: Load, folder: Path) -> dict[str, dict[str, Any]]:
    """The median run of each service, all services in turn."""
    prepared = prepare(load, folder)
    runs: dict[str, list[dict[str, Any]]] = {service: [] for service in SERVICES}
    for _ in range(load.runs):
        for service, measured in runs.items():
            measured.append(measure(service, prepared, load))
    return {
        service: {
            name: None if each[0][name] is None else median([run[name] for run in each])
            for name in each[0]
        }
        for service, each in runs.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and keep the figures."""
    parser = argparse.ArgumentParser(description="Measure ingestion over HTTP.")
    parser.add_argument("--short", action="store_true", help="few events: checks counts only")
    options = parser.parse_args(arguments)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for load in SHORT if options.short else LOADS:
            compared = compare(load, Path(folder))
            own = compared["this product"]["events_per_second"]
            for service, figures in compared.items():
                ratio = own / figures["events_per_second"]
                results.append({"service": service, "batch": load.batch, **figures, "ratio": ratio})
    show(
        f"Events over HTTP, {CONNECTIONS} connections, acknowledged when on disk",
        ("service", "batch", "events/s", "ours is", "p50 ms", "p99 ms", "GET /dau p99 ms"),
        [row_of(result) for result in results],
        "Medians of several runs on new stores; client and service share the machine.",
    )
    if not options.short:
        print(keep("ingest_http", results))


def row_of(result: Mapping[str, Any]) -> tuple[str, ...]:
    """A line of the table."""
    probe = result["probe_p99_ms"]
    return (
        result["service"],
        f"{result['batch']:,}",
        f"{result['events_per_second']:,.0f}",
        f"{result['ratio']:.1f} ×",
        f"{result['p50_ms']:.1f}",
        f"{result['p99_ms']:.1f}",
        "–" if probe is None else f"{probe:.1f}",
    )


if __name__ == "__main__":
    main()
