"""Made-up activity as files: events that `dpdau ingest` takes, and the truth beside them."""

import csv
import gzip
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol

import zstandard

from dpdau.errors import InvalidValueError
from dpdau.simulation.arrivals import Arrivals, Simulation
from dpdau.simulation.truth import Truth

__all__ = ["ACTIVITY_SUFFIXES", "WrittenActivity", "truth_path", "write_activity"]

_TRUTH_SUFFIX = ".truth.csv"
_MAU_WINDOW_DAYS = 30
# A day closes a day after its end: with the default LATENESS_HOURS, and days in UTC.
_LATENESS_DAYS = 1
_COLUMNS = ("user_id", "op", "scope", "day", "metadata.arrived")


@dataclass(frozen=True, slots=True)
class WrittenActivity:
    """What was written.

    Attributes:
        events: how many.
        path: the file of events.
        truth: the file of true numbers.
    """

    events: int
    path: Path
    truth: Path


class _Sink(Protocol):
    """Takes rows of events, column by column."""

    def write(self, columns: dict[str, list[str | None]]) -> None: ...


def truth_path(path: Path) -> Path:
    """Where the truth about a file of events is written.

    Raises:
        InvalidValueError: if the file's name has none of `ACTIVITY_SUFFIXES`.
    """
    suffix = _suffix_of(path)
    return path.with_name(path.name.removesuffix(suffix) + _TRUTH_SUFFIX)


def _suffix_of(path: Path) -> str:
    suffix = next((each for each in ACTIVITY_SUFFIXES if path.name.endswith(each)), None)
    if suffix is None:
        expected = f"a name that ends in {', '.join(ACTIVITY_SUFFIXES)}"
        raise InvalidValueError("--out", str(path), expected)
    return suffix


def write_activity(
    simulation: Simulation, path: Path, reached: Callable[[int], None] = lambda _: None
) -> WrittenActivity:
    """Write events in order of arrival, and beside them the true numbers.

    Both files appear whole or not at all. The truth has a row a day: its DAU and the MAU of the 30
    days up to it, as known when the day closes (after whatever arrives on the day after it), and,
    as `dau_final` and `mau_final`, as known after all events.

    Args:
        simulation: what happens.
        path: the file; its name ends in one of `ACTIVITY_SUFFIXES`.
        reached: is told after each day how many have been written.

    Raises:
        InvalidValueError: if the file's name or place is none that can be written.
    """
    suffix = _suffix_of(path)
    chronicle = _Chronicle(simulation)
    events = 0
    try:
        with _draft(path) as draft, _draft(truth_path(path)) as truth_draft:
            with _OPENERS[suffix](draft) as sink:
                for number, arrivals in enumerate(simulation.arrivals(), start=1):
                    sink.write(_columns(arrivals))
                    chronicle.note(arrivals)
                    events += len(arrivals)
                    reached(number)
            with truth_draft.open("w", encoding="utf-8", newline="") as file:
                rows = csv.DictWriter(file, _TRUTH_FIELDS, lineterminator="\n")
                rows.writeheader()
                rows.writerows(chronicle.rows())
    except OSError as error:
        expected = f"a file that can be written ({error.strerror})"
        raise InvalidValueError("--out", str(path), expected) from None
    return WrittenActivity(events, path, truth_path(path))


# --- truth ---------------------------------------------------------------------------------

_TRUTH_FIELDS = ("day", "dau", "mau", "dau_final", "mau_final")


class _Chronicle:
    """What was true of each day when it closed."""

    def __init__(self, simulation: Simulation) -> None:
        self._days = [simulation.end - timedelta(days=back) for back in range(simulation.days)][
            ::-1
        ]
        self._truth = Truth()
        self._at_closing: dict[date, tuple[int, int]] = {}

    def note(self, arrivals: Arrivals) -> None:
        """Take in what arrives on a day, and close what closes after it."""
        self._truth.apply(arrivals.users, arrivals.days, arrivals.adds, arrivals.whole_user)
        closing = date.fromordinal(arrivals.day - _LATENESS_DAYS)
        self._at_closing[closing] = self._counts(closing)

    def rows(self) -> Iterator[dict[str, object]]:
        """A row a day; days that were still open at the end closed with all events."""
        for day in self._days:
            final = self._counts(day)
            known = self._at_closing.get(day, final)
            yield dict(zip(_TRUTH_FIELDS, (day.isoformat(), *known, *final), strict=True))

    def _counts(self, day: date) -> tuple[int, int]:
        return self._truth.count(day, 1), self._truth.count(day, _MAU_WINDOW_DAYS)


# --- events --------------------------------------------------------------------------------


def _columns(arrivals: Arrivals) -> dict[str, list[str | None]]:
    arrived = date.fromordinal(arrivals.day).isoformat()
    days = {day: date.fromordinal(day).isoformat() for day in set(arrivals.days.tolist())}
    return {
        "user_id": [f"user-{user:06}" for user in arrivals.users.tolist()],
        "op": ["+" if add else "-" for add in arrivals.adds.tolist()],
        "scope": ["user" if whole else None for whole in arrivals.whole_user.tolist()],
        "day": [days[day] for day in arrivals.days.tolist()],
        "metadata.arrived": [arrived] * len(arrivals),
    }


@dataclass(frozen=True, slots=True)
class _JsonLines:
    file: IO[bytes]

    def write(self, columns: dict[str, list[str | None]]) -> None:
        # No value needs escaping: names are made of digits, the rest is ours.
        for user, op, scope, day, arrived in zip(*columns.values(), strict=True):
            scoped = f'"scope": "{scope}", ' if scope else ""
            line = (
                f'{{"user_id": "{user}", "op": "{op}", {scoped}"day": "{day}", '
                f'"metadata": {{"arrived": "{arrived}"}}}}\n'
            )
            self.file.write(line.encode())


class _CommaSeparated:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._file.write((",".join(_COLUMNS) + "\n").encode())

    def write(self, columns: dict[str, list[str | None]]) -> None:
        for row in zip(*columns.values(), strict=True):
            self._file.write((",".join(cell or "" for cell in row) + "\n").encode())


@dataclass(frozen=True, slots=True)
class _Parquet:
    writer: Any
    table: Callable[[dict[str, list[str | None]]], Any]

    def write(self, columns: dict[str, list[str | None]]) -> None:
        self.writer.write_table(self.table(columns))


@contextmanager
def _parquet(path: Path) -> Iterator[_Sink]:
    # Loaded late: most commands write no Parquet, and it takes a while.
    import pyarrow as pa  # noqa: PLC0415 - as said
    import pyarrow.parquet as pq  # noqa: PLC0415 - as said

    schema = pa.schema([(name, pa.string()) for name in _COLUMNS])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        yield _Parquet(writer, partial(pa.Table.from_pydict, schema=schema))


def _text(
    make: Callable[[IO[bytes]], _Sink], compressed: Callable[[IO[bytes]], Any] | None = None
) -> Callable[[Path], AbstractContextManager[_Sink]]:
    @contextmanager
    def opened(path: Path) -> Iterator[_Sink]:
        with path.open("wb") as file:
            if compressed is None:
                yield make(file)
                return
            with compressed(file) as inner:
                yield make(inner)

    return opened


def _gzipped(file: IO[bytes]) -> gzip.GzipFile:
    # Without a name and a time of its own the same events give the same bytes.
    return gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0, compresslevel=6)


def _zstandard(file: IO[bytes]) -> Any:
    return zstandard.ZstdCompressor().stream_writer(file, closefd=False)


_OPENERS: dict[str, Callable[[Path], AbstractContextManager[_Sink]]] = {
    ".jsonl": _text(_JsonLines),
    ".jsonl.gz": _text(_JsonLines, _gzipped),
    ".jsonl.zst": _text(_JsonLines, _zstandard),
    ".csv": _text(_CommaSeparated),
    ".csv.gz": _text(_CommaSeparated, _gzipped),
    ".csv.zst": _text(_CommaSeparated, _zstandard),
    ".parquet": _parquet,
}
ACTIVITY_SUFFIXES = tuple(_OPENERS)


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """A file beside, which takes the place of `path` once it is whole, or is gone."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
