"""What the command line asks of the product, in this process or on a server.

All answers are JSON objects, the same from both, and everything that is printed is made from
them.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import date
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from dpdau.formats import RefusedLine
from dpdau.model.ledger_files import LedgerFormat
from dpdau.model.releases import Metric

__all__ = ["Answer", "Backend"]

Answer: TypeAlias = Mapping[str, Any]


class Backend(AbstractContextManager["Backend"], Protocol):
    """Answers every question and carries out every command; each may raise a `DpdauError`."""

    def release(self, metric: Metric, day: date, window_days: int | None) -> Answer:
        """The value of a closed day."""
        ...

    def explain(self, release_id: str) -> Answer:
        """What a release means, in words."""
        ...

    def revise(self, metric: Metric, day: date, window_days: int | None) -> Answer:
        """A corrected value of a released day."""
        ...

    def series(self, metric: Metric, start: date, end: date, window_days: int | None) -> Answer:
        """The values of a range of days."""
        ...

    def publish(self, through: date | None, start: date | None) -> Answer:
        """Publish what is due: `{"published": [release_id, …]}`."""
        ...

    def ingest(
        self, path: Path, refuse: Callable[[RefusedLine], None], reached: Callable[[int], None]
    ) -> int:
        """Store the events of a file; returns how many were accepted.

        Args:
            path: the file.
            refuse: told of every line that is not accepted.
            reached: told how many bytes of the file are done.
        """
        ...

    def erase(self, user_ids: Sequence[str], request_key: str | None) -> Answer:
        """Erase people, or find what an earlier request under the same key did."""
        ...

    def erasure(self, erasure_id: str) -> Answer:
        """The state of an erasure."""
        ...

    def receipt(self, erasure_id: str) -> Answer:
        """What a complete erasure did."""
        ...

    def rotation(self) -> Answer:
        """How far people have moved to the secret in force."""
        ...

    def budget(self, metric: Metric, day: date | None) -> Answer:
        """What a metric has cost in the period of a day."""
        ...

    def budgets(self) -> Answer:
        """What everything published has cost."""
        ...

    def raise_cap(
        self, metric: Metric, period: str, epsilon_cap: float, who: str, why: str
    ) -> Answer:
        """Raise the cap of a metric for a period; answers with the budget."""
        ...

    def plan(self, metric: Metric, period: str) -> Answer:
        """The plan of a period's series, with its certificate."""
        ...

    def acknowledge(self, who: str, why: str, *, nothing_lost: bool) -> Answer:
        """Charge what a rolled back ledger lost: `{"rows": [row, …]}`, the new ones."""
        ...

    def verify(self) -> Answer:
        """Recompute the ledger: `{"valid": true, "rows": …}`, or a `LedgerDamagedError`."""
        ...

    def ledger(self, metric: Metric | None, period: str | None) -> Answer:
        """The ledger: `{"rows": [row, …]}`, oldest first."""
        ...

    def ledger_file(self, form: LedgerFormat, metric: Metric | None, period: str | None) -> bytes:
        """The ledger as a file for auditors."""
        ...
