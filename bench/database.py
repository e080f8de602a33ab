"""What the same work costs on the store's file and on a PostgreSQL database.

Over HTTP: 32 connections send JSON batches of 1,000 to one service on the file, to one on the
database, and to two on the database, each of which gets half. Then, with many people in each store:
counting 30 days, publishing a day, erasing. Clients, services and the server share the machine, so
that more services show only that they do not stop each other.

SERVICE_DATABASE_URL names a database in which schemas may be made; each is dropped at the end.

Run: SERVICE_DATABASE_URL=postgresql://... python bench/database.py [--short]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
import psycopg

from _harness import SECRET, keep, median, seconds_of, serving, show
from _population import Population, fill_store, user_ids
from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import load_settings
from dpdau.model.releases import Metric
from ingest_http import BENCH, Load, Prepared, prepare


@dataclass(frozen=True, slots=True)
class Work:
    """What is measured.

    Attributes:
        load: over HTTP.
        population: whose activity is counted.
        runs: how often each is measured.
    """

    load: Load
    population: Population
    runs: int


FULL = Work(Load(1_000, 1_000_000, 1_600_000, 3), Population(1_000_000, 30), 3)
SHORT = Work(Load(100, 2_000, 32_000, 1), Population(2_000, 30), 1)
_MANY = 1_000
_MADE = "CREATE SCHEMA {}"
_DROPPED = "DROP SCHEMA {} CASCADE"


@contextmanager
def schema(url: str) -> Iterator[str]:
    """The URL of a new schema, which is gone when the context ends."""
    name = f"bench_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_MADE.format(name).encode())
        try:
            yield f"{url}{'&' if '?' in url else '?'}options={quote(f'-csearch_path={name}')}"
        finally:
            connection.execute(_DROPPED.format(name).encode())


def settings(folder: Path, url: str | None) -> dict[str, Any]:
    """What services and this process set: the store, and nothing that would slow them down."""
    given = {"hash_salt_secret": SECRET, "rate_limit_per_minute": 0, "lateness_hours": 0}
    return {**given, "data_dir": folder, **({"service_database_url": url} if url else {})}


def opened(folder: Path, url: str | None) -> Application:
    """The product on the file or the database."""
    return build(load_settings(**settings(folder, url)))


def events_per_second(prepared: Prepared, load: Load, url: str | None, services: int) -> float:
    """Start services on a new store, send everything, and check what is held."""
    bodies = msgspec.msgpack.decode(prepared.file.read_bytes())
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        place = None if url is None else held.enter_context(schema(url))
        clients = []
        with ExitStack() as running:
            for number in range(services):
                share = folder / f"bodies-{number}"
                share.write_bytes(msgspec.msgpack.encode(bodies[number::services]))
                given = settings(folder / f"machine-{number}", place)
                port = running.enter_context(serving(given.pop("data_dir"), **given))
                clients.append([sys.executable, str(BENCH / "_load.py"), str(port), str(share)])
            sending = [subprocess.Popen(each, stdout=subprocess.PIPE) for each in clients]
            sent = [json.loads(each.communicate()[0]) for each in sending]
        with opened(folder / "machine-0", place) as application:
            check(application, prepared.counts)
    failures = [failure for each in sent for failure in each["failures"]]
    if failures:
        raise AssertionError(failures[0])
    return load.events / max(float(each["seconds"]) for each in sent)


def check(application: Application, counts: dict[str, int]) -> None:
    """Pass if a store holds what was sent."""
    with application.store.read() as reader:
        for day, count in counts.items():
            ordinal = date.fromisoformat(day).toordinal()
            if (found := len(reader.members(ordinal, ordinal))) != count:
                message = f"{day}: {found} is not {count}"
                raise AssertionError(message)


def costs(work: Work, url: str | None) -> dict[str, float]:
    """Seconds of what is done with many people in a store."""
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        place = None if url is None else held.enter_context(schema(url))
        application = held.enter_context(opened(folder, place))
        seconds = {"fill": seconds_of(lambda: fill_store(application.store, work.population))}
        application.store.warm()
        last = application.calendar.last_closed_day().toordinal()

        def count() -> int:
            with application.store.read() as reader:
                return len(reader.members(last - 29, last))

        seconds["mau"] = median([seconds_of(count) for _ in range(work.runs)])
        seconds["publish"] = seconds_of(
            lambda: application.release(Metric.DAU, application.calendar.last_closed_day())
        )
        for name, size in (("erase", 1), ("erase_many", _MANY)):
            seconds[name] = median(
                [seconds_of(erasing(application, run * size, size)) for run in range(work.runs)]
            )
    return seconds


def erasing(application: Application, first: int, count: int) -> Callable[[], None]:
    """One request for some people, to its end."""
    ids = user_ids(np.arange(first, first + count))

    def work() -> None:
        if application.erase(ids).state != "done":
            message = "The erasure was not completed"
            raise AssertionError(message)

    return work


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables and keep the figures."""
    parser = argparse.ArgumentParser(description="Measure the store in a database.")
    parser.add_argument("--short", action="store_true", help="few events: checks counts only")
    options = parser.parse_args(arguments)
    configured = load_settings().service_database_url
    if configured is None:
        print("SERVICE_DATABASE_URL is not set, so there is no database to measure.")
        return
    # Else what is to be on the file would be in the database too.
    os.environ.pop("SERVICE_DATABASE_URL", None)  # noqa: TID251 - for what is started from here
    if load_settings().service_database_url is not None:
        print("SERVICE_DATABASE_URL is set in .env; set it for this command alone.")
        return
    url, work = configured.get_secret_value(), SHORT if options.short else FULL
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(work.load, Path(folder))
        places = {
            "file, one service": (None, 1),
            "database, one service": (url, 1),
            "database, two services": (url, 2),
        }
        rates = {
            name: median([events_per_second(prepared, work.load, *place) for _ in range(work.runs)])
            for name, place in places.items()
        }
    show(
        f"Events over HTTP in batches of {work.load.batch:,}",
        ("store", "events/s", "share of the file's"),
        [
            (name, f"{rate:,.0f}", f"{rate / rates['file, one service']:.2f}")
            for name, rate in rates.items()
        ],
    )
    found = {"file": costs(work, None), "database": costs(work, url)}
    show(
        f"{work.population.users:,} users, {work.population.pairs:,.0f} (user, day) pairs",
        ("work", "file, s", "database, s"),
        [
            (label, f"{found['file'][name]:.4f}", f"{found['database'][name]:.4f}")
            for name, label in (
                ("fill", "storing all of them"),
                ("mau", "30-day MAU"),
                ("publish", "publishing the first days of a month of DAU"),
                ("erase", "erasing one person"),
                ("erase_many", f"erasing {_MANY:,} in one request"),
            )
        ],
    )
    if not options.short:
        print(keep("database", {"events_per_second": rates, "seconds": found}))


if __name__ == "__main__":
    main()
