"""What the flippancy limiter drops on real activity: by how much limited series undercount.

PYTHONPATH=tools python bench/limiter_bias.py

Every month of the CDNOW log is limited as a series would be. The undercount of a day is how many
present customers are not counted because they have used up their runs. It is zero for the default
MAU (30 days, w = 4) unless people retract, are erased, or arrive late; so a tenth of all purchases
is also taken back a week later, which no real shop comes near.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta

from pyroaring import BitMap
from rich.console import Console
from rich.table import Table

from cdnow import by_month, find_log, read_log
from dpdau.config import load_settings
from dpdau.model.calendar import Period
from dpdau.privacy.flippancy import LimiterState

_WINDOWS_DAYS = (1, 7, 30)
_FLIPS = (2, 4, 6)
_TAKEN_BACK_ONE_IN = 10
_TAKEN_BACK_AFTER_DAYS = 7


def main() -> None:
    """Print one row a window, bound and behaviour."""
    purchases = read_log(find_log(load_settings().example_dataset_path))
    months = list(by_month(purchases))
    made: dict[date, set[int]] = defaultdict(set)
    kept: dict[date, set[int]] = defaultdict(set)
    for number, purchase in enumerate(purchases):
        made[purchase.day].add(int(purchase.customer))
        if number % _TAKEN_BACK_ONE_IN:
            kept[purchase.day].add(int(purchase.customer))
    table = Table("window", "w", "taken back", "mean undercount", "largest", "share of presence")
    for window_days in _WINDOWS_DAYS:
        for flips in _FLIPS:
            for label, later in (("none", made), ("one in ten", kept)):
                present = dropped = largest = days = 0
                for counted, missed in limited(months, made, later, window_days, flips // 2):
                    present += counted + missed
                    dropped += missed
                    largest = max(largest, missed)
                    days += 1
                mean, share = dropped / days, dropped / present
                table.add_row(
                    f"{window_days} d",
                    str(flips),
                    label,
                    f"{mean:.2f}",
                    str(largest),
                    f"{share:.3%}",
                )
    Console().print(table)


def limited(
    months: list[Period],
    made: dict[date, set[int]],
    kept: dict[date, set[int]],
    window_days: int,
    runs: int,
) -> Iterator[tuple[int, int]]:
    """(counted, dropped) of every day; purchases older than a week are those that were kept."""
    for month in months:
        state = LimiterState.empty(runs)
        for offset in range(month.days):
            day = month.first + timedelta(days=offset)
            present: set[int] = set()
            for back in range(window_days):
                log = made if back < _TAKEN_BACK_AFTER_DAYS else kept
                present |= log.get(day - timedelta(days=back), set())
            advance = state.advance(BitMap(sorted(present)))
            state = advance.state
            yield len(advance.counted), advance.dropped


if __name__ == "__main__":
    main()
