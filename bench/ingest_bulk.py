"""How many events a second `dpdau ingest` takes from a file.

The same events as Parquet, CSV and JSON Lines: one million users, thirty days, 70 % repeats,
2 % retractions. The rival is DuckDB counting distinct users per day from the same file, which
hashes nothing under a key, keeps nothing, and uses every core.

Run: python bench/ingest_bulk.py [--short]     (needs the extra `bench`)
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from _harness import (
    SECRET,
    Events,
    environment_with,
    keep,
    made_up_events,
    median,
    seconds_of,
    show,
    stored_counts,
)

DAYS = 30
QUIET = "SET enable_progress_bar = false"


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file.

    Attributes:
        name: as in the table.
        suffix: of the file's name.
        options: with which DuckDB writes it.
        reader: DuckDB's function that reads it.
    """

    name: str
    suffix: str
    options: str
    reader: str


FORMATS = (
    Format("Parquet", "parquet", "FORMAT parquet", "read_parquet"),
    Format("CSV", "csv", "FORMAT csv, HEADER", "read_csv"),
    Format("JSON Lines", "jsonl", "FORMAT json", "read_json"),
)


@dataclass(frozen=True, slots=True)
class Work:
    """What is read.

    Attributes:
        events: how many.
        users: how many people there are.
        runs: how often each is measured, into a new store each time.
    """

    events: int
    users: int
    runs: int


FULL = Work(20_000_000, 1_000_000, 3)
SHORT = Work(30_000, 2_000, 1)


def write_files(events: Events, folder: Path) -> None:
    """Write the events once in each format."""
    first = int(events.days.min())
    names = [date.fromordinal(day).isoformat() for day in range(first, int(events.days.max()) + 1)]
    ops = pa.array(np.where(events.adds, 0, 1).astype(np.int8))
    days = pa.array((events.days - first).astype(np.int16))
    numbers = pa.table(
        {
            "number": events.users,
            "op": pa.DictionaryArray.from_arrays(ops, pa.array(["+", "-"])),
            "day": pa.DictionaryArray.from_arrays(days, pa.array(names)),
        }
    )
    with duckdb.connect() as connection:
        connection.execute(QUIET)
        connection.register("numbers", numbers)
        for kind in FORMATS:
            connection.execute(
                "COPY (SELECT 'user-' || lpad(number::VARCHAR, 7, '0') AS user_id, "  # noqa: S608 - our own names
                "op::VARCHAR AS op, day::VARCHAR AS day FROM numbers) "
                f"TO '{folder / f'events.{kind.suffix}'}' ({kind.options})"
            )


def ingest(file: Path, expected: Mapping[str, int]) -> float:
    """Events a second of the command, as it states them; its store is checked afterwards."""
    with tempfile.TemporaryDirectory() as data_dir:
        environment = environment_with(data_dir=data_dir, hash_salt_secret=SECRET)
        command = [sys.executable, "-m", "dpdau", "ingest", "--from", str(file), "--json"]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment).stdout
        days = [date.fromisoformat(day) for day in expected]
        counts = stored_counts(Path(data_dir), days)
    if counts != expected:
        message = f"{file.name}: {counts} is not {expected}"
        raise AssertionError(message)
    speed: float = json.loads(output)["events_per_second"]
    return speed


def rival(file: Path, kind: Format, events: int) -> float:
    """Events a second of DuckDB; "-" is left out, since the order of events is not its matter."""
    query = (
        f"SELECT day, count(DISTINCT user_id) FROM {kind.reader}('{file}') "  # noqa: S608 - our own file
        "WHERE op = '+' GROUP BY day"
    )
    with duckdb.connect() as connection:
        connection.execute(QUIET)
        return events / seconds_of(lambda: connection.execute(query).fetchall())


def compare(work: Work, folder: Path) -> list[dict[str, Any]]:
    """The median run of each format, ours and the rival in turn."""
    today = datetime.now(UTC).date()
    events = made_up_events(work.events, users=work.users, days=DAYS, end=today)
    expected = events.counts()
    write_files(events, folder)
    results = []
    for kind in FORMATS:
        file = folder / f"events.{kind.suffix}"
        runs = [(ingest(file, expected), rival(file, kind, work.events)) for _ in range(work.runs)]
        ours, theirs = (median(each) for each in zip(*runs, strict=True))
        results.append(
            {
                "format": kind.name,
                "megabytes": file.stat().st_size / 1e6,
                "events_per_second": ours,
                "rival_events_per_second": theirs,
                "ratio": theirs / ours,
            }
        )
    return results


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and keep the figures."""
    parser = argparse.ArgumentParser(description="Measure ingestion from files.")
    parser.add_argument("--short", action="store_true", help="few events: checks counts only")
    options = parser.parse_args(arguments)
    work = SHORT if options.short else FULL
    with tempfile.TemporaryDirectory() as folder:
        results = compare(work, Path(folder))
    show(
        f"{work.events:,} events from a file into a new store",
        ("format", "MB", "events/s", "DuckDB counting", "DuckDB is faster by"),
        [
            (
                result["format"],
                f"{result['megabytes']:,.0f}",
                f"{result['events_per_second']:,.0f}",
                f"{result['rival_events_per_second']:,.0f}",
                f"{result['ratio']:.1f} ×",
            )
            for result in results
        ],
        "Medians of several runs.",
    )
    if not options.short:
        print(keep("ingest_bulk", results))


if __name__ == "__main__":
    main()
