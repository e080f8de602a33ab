"""The CDNOW purchase log: 23,570 customers, 69,659 purchases, January 1997 to June 1998.

It ships in the PyPI package `lifetimes`, which is not imported, or is read from the file that
EXAMPLE_DATASET_PATH names.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from dpdau.errors import FileUnreadableError
from dpdau.model.calendar import Period, PeriodKind

__all__ = ["Purchase", "by_month", "find_log", "read_log"]

_PACKAGE = "lifetimes"
_FILE = "lifetimes/datasets/CDNOW_master.txt"


@dataclass(frozen=True, slots=True)
class Purchase:
    """One line of the log."""

    customer: str
    day: date


def find_log(given: Path | None) -> Path:
    """The log: the given file, or the one in the package, which is not imported."""
    if given is not None:
        return given
    try:
        return Path(str(distribution(_PACKAGE).locate_file(_FILE)))
    except PackageNotFoundError:
        reason = f"install it (pip install --no-deps {_PACKAGE}) or set EXAMPLE_DATASET_PATH"
        raise FileUnreadableError(Path(_FILE), reason) from None


def read_log(path: Path) -> list[Purchase]:
    """The purchases: customer, day (YYYYMMDD), units and dollars, separated by spaces."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        rows = [line.split() for line in lines if line.strip()[:1].isdigit()]
        return [Purchase(row[0], date.fromisoformat(row[1])) for row in rows]
    except OSError as error:
        raise FileUnreadableError(path, error.strerror or str(error)) from None
    except (ValueError, IndexError) as error:
        raise FileUnreadableError(path, f"it is no purchase log ({error})") from None


def by_month(purchases: Iterable[Purchase]) -> dict[Period, list[Purchase]]:
    """The purchases of each month, oldest first."""
    months: dict[Period, list[Purchase]] = defaultdict(list)
    for purchase in sorted(purchases, key=lambda purchase: purchase.day):
        months[Period.containing(purchase.day, PeriodKind.MONTH)].append(purchase)
    return dict(months)
