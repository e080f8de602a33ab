"""What it costs to start, count and publish, and how much memory and disk many people take.

Ten million users of whom three million are active a day, for thirty days. Before each 30-day count
an event of its last day comes in, so that nothing can have been counted before. Rivals of the count
are DuckDB's `count(DISTINCT)` over the same pairs in its own file, and the union of daily adaptive
theta sketches of Apache DataSketches, of two sizes; of memory, one Python set of keys a day; of disk,
a key of eight bytes and a day of four for each pair.

Run: python bench/counting.py [--short]     (needs the extra `bench`)
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasketches
import duckdb
import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from _harness import SECRET, highest_mebibytes, keep, median, seconds_of, serving, show
from _population import Population, activity, fill, opened
from dpdau.model.releases import Metric

FULL = Population(10_000_000, 30)
SHORT = Population(20_000, 30)
RUNS = 15
THETA_SIZES = (12, 16)
_PAIR_BYTES = 12


# --- ours, in a process of its own so that its memory can be told ------------------------------


def measure_ours(data_dir: Path) -> dict[str, Any]:
    """Warm, count and publish; the highest memory is that of this process."""
    started = time.perf_counter()
    with opened(data_dir) as application:
        application.store.warm()
        seconds = {"warm": time.perf_counter() - started}
        last = application.calendar.last_closed_day()
        window = (last.toordinal() - 29, last.toordinal())

        def count() -> int:
            with application.store.read() as reader:
                return len(reader.members(*window))

        def count_after_an_event(run: int) -> float:
            someone, nobody = BitMap([0]), BitMap()
            with application.store.write() as transaction:
                changes = (nobody, someone) if run % 2 else (someone, nobody)
                transaction.update_members(last.toordinal(), *changes)
            return seconds_of(count)

        seconds["first mau"] = seconds_of(count)
        counted = count()
        seconds["mau"] = median([count_after_an_event(run) for run in range(RUNS)])
        # The plan of a period is made once, before its first day.
        application.publisher.plan(Metric.MAU, last)
        days = application.publisher.publish_through(last, last, [Metric.MAU])
        before = time.perf_counter()
        published = len(list(days))
        seconds["publish"] = (time.perf_counter() - before) / published
    peak = highest_mebibytes()
    return {"seconds": seconds, "counted": counted, "peak_mebibytes": peak}


def in_its_own_process(data_dir: Path) -> dict[str, Any]:
    """`measure_ours`, where nothing else is in memory."""
    command = [sys.executable, __file__, "--measure", str(data_dir)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    measured: dict[str, Any] = json.loads(output)
    return measured


def seconds_to_ready(data_dir: Path) -> float:
    """From starting the service to its first answer."""
    started = time.perf_counter()
    with serving(data_dir, hash_salt_secret=SECRET):
        return time.perf_counter() - started


# --- rivals ------------------------------------------------------------------------------------


def duckdb_mau(population: Population, folder: Path) -> tuple[float, int]:
    """Seconds of `count(DISTINCT)` over the pairs in a file, and what it counts."""
    with duckdb.connect(folder / "rival.duckdb") as connection:
        connection.execute("CREATE TABLE activity (user_index UINTEGER, day UTINYINT)")
        for day in range(population.days):
            users = pa.table({"user_index": activity(population, day)})
            connection.register("users", users)
            connection.execute(f"INSERT INTO activity SELECT user_index, {day} FROM users")  # noqa: S608

        def count() -> int:
            query = "SELECT count(DISTINCT user_index) FROM activity WHERE day BETWEEN 0 AND 29"
            return int(connection.execute(query).fetchall()[0][0])

        return median([seconds_of(count) for _ in range(3)]), count()


def theta_mau(population: Population, size: int) -> tuple[float, float]:
    """Seconds of a union of daily sketches with 2^size entries, and its estimate."""
    days = []
    for day in range(population.days):
        sketch = datasketches.update_theta_sketch(size)
        # Enough for the sketch to be full, which is what its union costs; more takes minutes.
        for user in activity(population, day)[: 1 << (size + 2)].tolist():
            sketch.update(user)
        days.append(sketch.compact())

    def count() -> float:
        union = datasketches.theta_union(size)
        for sketch in days:
            union.update(sketch)
        return float(union.get_result().get_estimate())

    return median([seconds_of(count) for _ in range(RUNS)]), count()


def set_mebibytes(population: Population) -> float:
    """Memory of Python sets of 64-bit keys, measured on one day and taken for all."""
    keys = int(population.users * population.share)
    command = [sys.executable, __file__, "--hold-keys", str(keys)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return float(output) * population.days


def measure_set(count: int) -> float:
    """How much a set of so many keys adds to this process's memory, in MiB."""
    before = highest_mebibytes()
    spread = np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    held = set(map(int, spread))
    return highest_mebibytes() - before - spread.nbytes / 2**20 * bool(held)


# --- the table ---------------------------------------------------------------------------------


def compare(population: Population, folder: Path) -> dict[str, Any]:
    """Everything that the table shows."""
    data_dir = folder / "data"
    fill(data_dir, population)
    disk = sum(file.stat().st_size for file in data_dir.iterdir())
    ready = median([seconds_to_ready(data_dir) for _ in range(3)])
    ours = in_its_own_process(data_dir)
    duck_seconds, exact = duckdb_mau(population, folder)
    if ours["counted"] != exact:
        message = f"Ours is {ours['counted']}, DuckDB's {exact}"
        raise AssertionError(message)
    return {
        "users": population.users,
        "pairs": population.pairs,
        "ready_seconds": ready,
        "disk_bytes": disk,
        "duckdb_seconds": duck_seconds,
        "theta_seconds": {size: theta_mau(population, size)[0] for size in THETA_SIZES},
        "set_mebibytes": set_mebibytes(population),
        **ours,
    }


def rows(found: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What was measured, and beside what."""
    seconds = found["seconds"]
    theta = ", ".join(
        f"theta 2^{size} {taken * 1e3:.1f} ms" for size, taken in found["theta_seconds"].items()
    )
    per_pair = (found["disk_bytes"] - 8 * found["users"]) / found["pairs"]
    keys_and_days = found["pairs"] * _PAIR_BYTES / 1e6
    return [
        (
            "30-day MAU, exact, after an event of its last day",
            f"{seconds['mau'] * 1e3:.1f} ms",
            f"DuckDB {found['duckdb_seconds'] / seconds['mau']:,.0f} × as long; {theta}",
        ),
        ("the first one after a start", f"{seconds['first mau'] * 1e3:.0f} ms", ""),
        ("publishing a day of MAU", f"{seconds['publish']:.2f} s", "limiter, noise, ledger"),
        ("from start to ready", f"{found['ready_seconds']:.1f} s", ""),
        (
            "disk",
            f"{found['disk_bytes'] / 1e6:,.0f} MB",
            f"8 bytes a user and {per_pair:.2f} a pair; keys and days {keys_and_days:,.0f} MB",
        ),
        (
            "highest memory",
            f"{found['peak_mebibytes']:,.0f} MiB",
            f"Python sets of keys {found['set_mebibytes']:,.0f} MiB",
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and keep the figures."""
    parser = argparse.ArgumentParser(description="Measure counting, memory and disk.")
    parser.add_argument("--short", action="store_true", help="few users: checks counts only")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--hold-keys", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure is not None:
        print(json.dumps(measure_ours(options.measure)))
        return
    if options.hold_keys is not None:
        print(measure_set(options.hold_keys))
        return
    population = SHORT if options.short else FULL
    with tempfile.TemporaryDirectory() as folder:
        found = compare(population, Path(folder))
    title = f"{population.users:,} users, {population.pairs:,.0f} (user, day) pairs"
    show(title, ("work", "ours", "beside"), rows(found), "Medians of several runs.")
    if not options.short:
        print(keep("counting", found))


if __name__ == "__main__":
    main()
