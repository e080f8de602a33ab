"""How long strategies take to design, and how near to the limit they come.

python bench/design.py
"""

import time

from rich.console import Console
from rich.table import Table

from dpdau.privacy.strategy import Presence
from dpdau.privacy.strategy.design import design

_CASES = [
    *((days, flips) for flips in (2, 4, 6) for days in (28, 29, 30, 31)),
    *((days, None) for days in (31, 92, 366)),
    (92, 4),
    (366, 4),
]


def main() -> None:
    """Print one row a period and presence set."""
    table = Table("days", "flips", "primal", "dual", "gap", "CPU seconds")
    for days, flips in _CASES:
        started = time.process_time()
        found = design(days, Presence.of(days, None if flips is None else flips // 2))
        seconds = time.process_time() - started
        table.add_row(
            str(days),
            "any" if flips is None else str(flips),
            f"{found.primal:.4f}",
            f"{found.dual:.4f}",
            f"{found.primal / found.dual - 1:.4%}",
            f"{seconds:.2f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
