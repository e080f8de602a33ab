"""The product on the store of this machine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

import msgspec
from pydantic import BaseModel

from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.cli.backend import Answer
from dpdau.config import Settings
from dpdau.errors import DpdauError
from dpdau.formats import RefusedLine, read_file
from dpdau.model.calendar import Period
from dpdau.model.ledger import LedgerRow
from dpdau.model.ledger_files import LedgerFormat, ledger_file
from dpdau.model.releases import Metric
from dpdau.pipeline.bulk import ingest_chunks
from dpdau.sketches import read_compact_theta

__all__ = ["LocalBackend"]


@dataclass(frozen=True, slots=True)
class LocalBackend:
    """Works on the store directly; others may have it open at the same time.

    Attributes:
        application: the wired product.
    """

    application: Application

    @classmethod
    def open(cls, settings: Settings) -> "LocalBackend":
        """Open the store that the settings name."""
        return cls(build(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.application.close()

    def release(self, metric: Metric, day: date, window_days: int | None) -> Answer:
        """The value of a closed day."""
        return _json(self.application.release(metric, day, window_days))

    def explain(self, release_id: str) -> Answer:
        """What a release means, in words."""
        return _json(self.application.explain(release_id))

    def revise(self, metric: Metric, day: date, window_days: int | None) -> Answer:
        """A corrected value of a released day."""
        return _json(self.application.revise(metric, day, window_days))

    def series(self, metric: Metric, start: date, end: date, window_days: int | None) -> Answer:
        """The values of a range of days."""
        return _json(self.application.series(metric, start, end, window_days))

    def publish(self, through: date | None, start: date | None) -> Answer:
        """Publish what is due, oldest first."""
        published: list[str] = []
        try:
            for release in self.application.publish(through, start):
                published.append(release.release_id)  # noqa: PERF401 - what came before an error counts
        except DpdauError as error:
            error.details["published"] = published
            raise
        return {"published": published}

    def ingest(
        self, path: Path, refuse: Callable[[RefusedLine], None], reached: Callable[[int], None]
    ) -> int:
        """Store the events of a file, judged by the rules of this moment."""
        chunks = read_file(path, self.application.event_rules())
        accepted = ingest_chunks(self.application.ingestor, chunks, refuse, reached)
        # Events may have erased people, whose pages are still to be purged.
        self.application.eraser.finish()
        return accepted

    def erase(self, user_ids: Sequence[str], request_key: str | None) -> Answer:
        """Erase people, or find what an earlier request under the same key did."""
        return _json(self.application.erase(user_ids, request_key))

    def erase_again(self, since: date) -> Answer:
        """Erase again whom the journal of erasures knows since a day."""
        return _json(self.application.erase_again(since))

    def erasure(self, erasure_id: str) -> Answer:
        """The state of an erasure; one that waits is completed now, or fails with the reason."""
        if self.application.erasure(erasure_id).state == "received":
            self.application.eraser.finish()
        return _json(self.application.erasure(erasure_id))

    def receipt(self, erasure_id: str) -> Answer:
        """What a complete erasure did."""
        return _json(self.application.receipt(erasure_id))

    def rotation(self) -> Answer:
        """How far people have moved to the secret in force."""
        return _json(self.application.rotation())

    def budget(self, metric: Metric, day: date | None) -> Answer:
        """What a metric has cost in the period of a day."""
        return _json(self.application.budget_of(metric, day))

    def budgets(self) -> Answer:
        """What everything published has cost."""
        return _json(self.application.budget_totals())

    def raise_cap(
        self, metric: Metric, period: str, epsilon_cap: float, who: str, why: str
    ) -> Answer:
        """Raise the cap of a metric for a period; answers with the budget."""
        return _json(self.application.raise_cap(metric, period, epsilon_cap, who=who, why=why))

    def plan(self, metric: Metric, period: str) -> Answer:
        """The plan of a period's series, with its certificate."""
        plan = self.application.plan(metric, period).to_dict()
        return {"metric": metric.value, "period": period, **plan}

    def acknowledge(self, who: str, why: str, *, nothing_lost: bool) -> Answer:
        """Charge what a rolled back ledger lost: `{"rows": [row, …]}`, the new ones."""
        rows = self.application.acknowledge(who, why, nothing_lost=nothing_lost)
        return {"rows": msgspec.to_builtins(rows)}

    def verify(self) -> Answer:
        """Recompute the ledger: `{"valid": true, "rows": …}`, or a `LedgerDamagedError`."""
        return _json(self.application.verify())

    def ledger(self, metric: Metric | None, period: str | None) -> Answer:
        """The rows, oldest first."""
        return {"rows": msgspec.to_builtins(self._rows(metric, period))}

    def ledger_file(self, form: LedgerFormat, metric: Metric | None, period: str | None) -> bytes:
        """The ledger as a file for auditors."""
        return ledger_file(self._rows(metric, period), form)

    def sketch_file(self, day: date | None, window_days: int) -> tuple[bytes, Answer]:
        """Who was active in a window as a compact theta sketch, and what it holds: not private."""
        content = self.application.export_sketch(
            day or self.application.calendar.today(), window_days
        )
        held = read_compact_theta(content)
        return content, {"hashes": held.hashes, "rate": held.rate, "estimate": held.estimate}

    def _rows(self, metric: Metric | None, period: str | None) -> list[LedgerRow]:
        name = None if period is None else Period.named(period).name
        return self.application.ledger(metric, name)


def _json(view: BaseModel) -> dict[str, Any]:
    return view.model_dump(mode="json")
