"""What it costs to let Spark count: time against users and against cores, state, and what is shuffled.

People who are active on three days of ten, for thirty days, one event each, in a Parquet file a day.
First nineteen days are published at once, as when a store begins in the middle of a month, then one
more day, as every night. Both read all thirty days. Each run is a process of its own on this machine,
with as many cores as its Spark is given; totals are compared with who was active.

Run: python bench/spark.py [--short]     (needs the extra `spark` and Java)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyroaring import BitMap

from _harness import SECRET, keep, show
from _population import Population, activity
from dpdau.bootstrap import build
from dpdau.config import Settings, load_settings
from dpdau.model.releases import Metric
from dpdau.privacy.flippancy import LimiterState

WINDOW_DAYS = 30
DAYS = 30
LAST = date(2025, 11, 20)
FIRST = LAST - timedelta(days=DAYS - 1)
PERIOD = LAST.replace(day=1)
NOW = datetime(2025, 11, 21, 12, tzinfo=UTC)
MEMORY = "6g"


@dataclass(frozen=True, slots=True)
class Case:
    """One run.

    Attributes:
        users: how many people there are.
        cores: how many cores Spark is given.
    """

    users: int
    cores: int

    @property
    def population(self) -> Population:
        """Who they are."""
        return Population(self.users, DAYS)


FULL = [Case(100_000, 2), Case(1_000_000, 1), Case(1_000_000, 2), Case(3_000_000, 2)]
SHORT = [Case(2_000, 2)]


# --- the events --------------------------------------------------------------------------------


def write_events(folder: Path, population: Population) -> None:
    """One file a day."""
    folder.mkdir()
    for number in range(population.days):
        day = FIRST + timedelta(days=number)
        active = pa.array(activity(population, number)).cast(pa.string())
        size = len(active)
        columns = {
            "user_id": pc.binary_join_element_wise("user-", active, ""),
            "op": pa.array(["+"]).take(pa.array(np.zeros(size, dtype=np.int8))),
            "day": pa.array(np.full(size, np.datetime64(day))),
            "received_at": pa.array(
                np.full(size, np.datetime64(day, "us")), pa.timestamp("us", "UTC")
            ),
        }
        pq.write_table(pa.table(columns), folder / f"{day}.parquet")


def expected(population: Population, runs: int) -> dict[Metric, list[int]]:
    """The totals of every day of the period, from who was active and the limiter itself."""
    active = [BitMap(activity(population, number)) for number in range(population.days)]
    limiter = LimiterState.empty(runs)
    totals: dict[Metric, list[int]] = {Metric.DAU: [], Metric.MAU: []}
    for number in range((PERIOD - FIRST).days, population.days):
        present = BitMap.union(*active[max(number - WINDOW_DAYS + 1, 0) : number + 1])
        advance = limiter.advance(present)
        limiter = advance.state
        totals[Metric.DAU].append(len(active[number]))
        totals[Metric.MAU].append(len(advance.counted))
    return totals


# --- one run, in a process of its own ----------------------------------------------------------


def measure(folder: Path, case: Case) -> dict[str, Any]:
    """Publish all but the last day, then the last."""
    # Imported here, since they take seconds and are an extra.
    from dpdau.spark import TableSource, publish  # noqa: PLC0415

    spark = _spark(folder, case.cores)
    settings = load_settings(
        data_dir=folder / "data",
        activity_source="spark",
        hash_salt_secret=SECRET,
        lateness_hours=0,
        mau_window_days=WINDOW_DAYS,
    )
    source = TableSource(paths=(str(folder / "events"),))

    def published(through: date) -> Callable[[], list[str]]:
        return lambda: publish(settings, source, through=through, start=PERIOD, clock=lambda: NOW)

    seconds, cpu_seconds = {}, {}
    for name, through in (("first", LAST - timedelta(days=1)), ("nightly", LAST)):
        started, used = time.perf_counter(), _cpu_seconds()
        published(through)()
        seconds[name] = time.perf_counter() - started
        cpu_seconds[name] = _cpu_seconds() - used
    spark.stop()
    _check(settings, case)
    tables = list((folder / "data" / "spark").glob("*/limiters/mau*/*/*.parquet"))
    return {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "limiter_bytes": sum(file.stat().st_size for file in tables),
        "shuffled_bytes": _shuffled(folder / "log"),
    }


def _cpu_seconds() -> float:
    """What this process, Spark's and its workers have used so far, which others cannot lengthen much."""
    ticks, waiting = 0, [os.getpid()]
    while waiting:
        process = Path(f"/proc/{waiting.pop()}")
        # Workers may end meanwhile; whoever started them has what they used.
        with suppress(FileNotFoundError, ProcessLookupError):
            ticks += sum(map(int, (process / "stat").read_text().rsplit(")", 1)[1].split()[11:15]))
            for children in process.glob("task/*/children"):
                waiting += map(int, children.read_text().split())
    return ticks / os.sysconf("SC_CLK_TCK")


def _spark(folder: Path, cores: int) -> Any:
    from pyspark.sql import SparkSession  # noqa: PLC0415

    (folder / "log").mkdir()
    builder = SparkSession.builder.master(f"local[{cores}]")
    for name, value in {
        "spark.driver.memory": MEMORY,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(folder / "scratch"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.dir": (folder / "log").as_uri(),
        "spark.log.level": "ERROR",
        "spark.sql.shuffle.partitions": "8",
    }.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _check(settings: Settings, case: Case) -> None:
    """Fail if any total is not that of who was active."""
    runs = settings.presence_runs(Metric.MAU)
    wanted = expected(case.population, runs or 0)
    with build(settings, clock=lambda: NOW) as application, application.store.read() as reader:
        for key in reader.series_keys():
            state = reader.series_state(key)
            if state is None or list(state.totals) != wanted[key.metric]:
                message = f"The totals of {key.series_id} are not those of who was active."
                raise SystemExit(message)


def _shuffled(folder: Path) -> int:
    """The bytes that the tasks of both publications wrote for others to read."""
    written = 0
    for file in folder.rglob("events_*"):
        with file.open(errors="replace") as lines:
            for line in lines:
                with suppress(ValueError, KeyError, TypeError):
                    metrics = json.loads(line)["Task Metrics"]["Shuffle Write Metrics"]
                    written += metrics["Shuffle Bytes Written"]
    return written


def in_its_own_process(case: Case) -> dict[str, Any]:
    """`measure` where nothing else is in memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_events(folder / "events", case.population)
        command = [sys.executable, __file__, "--measure", name]
        command += [str(case.users), str(case.cores)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    measured: dict[str, Any] = json.loads(output.splitlines()[-1])
    return measured


# --- all of them -------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="check that it works, in seconds")
    parser.add_argument("--measure", nargs=3, metavar=("FOLDER", "USERS", "CORES"))
    given = parser.parse_args(arguments)
    if given.measure:
        folder, users, cores = given.measure
        print(json.dumps(measure(Path(folder), Case(int(users), int(cores)))))
        return
    rows, results = [], []
    for case in SHORT if given.short else FULL:
        figures = in_its_own_process(case)
        results.append({"users": case.users, "cores": case.cores, **figures})
        print(json.dumps(results[-1]), file=sys.stderr, flush=True)
        (first, nightly), (_, used) = figures["seconds"].values(), figures["cpu_seconds"].values()
        pairs = case.population.pairs
        rows.append(
            [
                f"{case.users:,} on {case.cores}",
                f"{pairs / 1e6:,.1f} M",
                f"{first:,.1f}",
                f"{nightly:,.1f}",
                f"{used:,.1f}",
                f"{used / pairs * 1e9 / 3600:,.1f}",
                f"{figures['limiter_bytes'] / case.users:.1f}",
                f"{figures['shuffled_bytes'] / 2 / pairs:.1f}",
            ]
        )
    columns = [
        "users, cores",
        "user-days",
        "19 days, s",
        "a night, s",
        "a night, core s",
        "core h/10⁹ user-days",
        "limiter B/user",
        "shuffled B/user-day",
    ]
    show("Publishing DAU and 30-day MAU by Spark", columns, rows)
    if not given.short:
        print(f"Figures: {keep('spark', results)}")


if __name__ == "__main__":
    main()
