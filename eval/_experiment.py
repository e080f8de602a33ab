"""One experiment: where its results lie, how they are written, and trials in parallel.

A result is a table of plain rows, written as `NAME.parquet` for programs and `NAME.json` for people,
the latter with what it takes to reproduce it.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from dpdau import __version__
from dpdau.config import load_settings
from dpdau.errors import FileUnreadableError, InvalidValueError

__all__ = ["Experiment", "open_experiment", "run_trials", "show"]

Row = Mapping[str, Any]
T = TypeVar("T")
R = TypeVar("R")

_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Experiment:
    """A named set of results.

    Attributes:
        name: as in `EXPERIMENT_ID`.
        results: the folder of its tables.
        plots: the folder of its figures.
    """

    name: str
    results: Path
    plots: Path

    def write(self, table: str, rows: Sequence[Row], **made_with: Any) -> Path:
        """Write a table in both forms; whoever reads meanwhile sees the old one or the new one.

        Args:
            table: its name, such as `accuracy`.
            rows: mappings with the same keys, of numbers, words and None.
            made_with: what reproduces it, such as seed and arguments.

        Returns:
            The path of the JSON file.
        """
        self.results.mkdir(parents=True, exist_ok=True, mode=0o700)
        origin = {
            "program": f"dpdau {__version__}",
            "python": sys.version.split()[0],
            "cores": len(os.sched_getaffinity(0)),
            **made_with,
        }
        columns = pa.Table.from_pylist([dict(row) for row in rows])
        pq.write_table(columns, self._draft(table, "parquet"))
        text = json.dumps({"made_with": origin, "rows": [dict(row) for row in rows]}, indent=2)
        self._draft(table, "json").write_text(text + "\n", encoding="utf-8")
        for suffix in ("parquet", "json"):
            self._draft(table, suffix).replace(self._path(table, suffix))
        return self._path(table, "json")

    def read(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table.

        Raises:
            FileUnreadableError: if it has not been made yet.
        """
        path = self._path(table, "json")
        try:
            rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
        except OSError as error:
            reason = f"{error.strerror}; `make eval` makes it"
            raise FileUnreadableError(path, reason) from None
        return rows

    def has(self, table: str) -> bool:
        """Whether a table has been made."""
        return self._path(table, "json").exists()

    def _path(self, table: str, suffix: str) -> Path:
        return self.results / f"{table}.{suffix}"

    def _draft(self, table: str, suffix: str) -> Path:
        return self.results / f".{table}.{suffix}"


def open_experiment(name: str | None = None) -> Experiment:
    """The experiment of that name, by default of `EXPERIMENT_ID`, in `DATA_DIR`.

    Raises:
        InvalidValueError: if the name cannot be a folder's.
    """
    settings = load_settings()
    chosen = settings.experiment_id if name is None else name
    if not _WELL_FORMED_ID.fullmatch(chosen) or not chosen.strip("."):
        raise InvalidValueError("experiment", chosen, "letters, digits, '.', '_' and '-'")
    folder = settings.data_dir
    return Experiment(chosen, folder / "experiments" / chosen, folder / "plots" / chosen)


def run_trials(
    work: Callable[[T], R], tasks: Sequence[T], *, label: str, processes: int | None = None
) -> list[R]:
    """What `work` gives for every task, in their order, computed in parallel with a progress bar.

    Args:
        work: a function of a module, so that other processes find it.
        tasks: what it is called with.
        label: stands before the bar.
        processes: how many at once; by default one a core. With 1 all runs in this process.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        bar = progress.add_task(label, total=len(tasks))
        if processes == 1:
            done = []
            for task in tasks:
                done.append(work(task))
                progress.advance(bar)
            return done
        with ProcessPoolExecutor(processes or len(os.sched_getaffinity(0))) as pool:
            futures = [pool.submit(work, task) for task in tasks]
            for _ in as_completed(futures):
                progress.advance(bar)
            return [future.result() for future in futures]


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> None:
    """Print a table; all columns but the first hold numbers."""
    table = Table(title=title, caption=note or None)
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if position else "left")
    for row in rows:
        table.add_row(*row)
    Console(width=120).print(table)
