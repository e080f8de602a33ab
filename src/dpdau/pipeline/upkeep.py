"""What has to happen by itself as time passes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from time import monotonic

from dpdau.errors import BudgetExhaustedError, HastyRetentionError
from dpdau.model.calendar import Calendar
from dpdau.model.releases import Metric
from dpdau.pipeline.erase import Eraser
from dpdau.pipeline.leaps import BELIEVED_AFTER, LEAP
from dpdau.pipeline.publish import Publisher
from dpdau.pipeline.retention import Retention

__all__ = ["Upkeep", "UpkeepReport"]


@dataclass(frozen=True, slots=True)
class UpkeepReport:
    """What one round did; for operators only.

    Attributes:
        published: ids of the releases made.
        refused: why the publication of a metric stopped early, one message each.
        due_days: closed days of continual series that still wait.
        waiting_erasures: erasures whose pages still have to be purged.
    """

    published: list[str]
    refused: list[str]
    due_days: int
    waiting_erasures: int


class Upkeep:
    """Completes erasures, drops what is past its retention, and publishes days that closed."""

    def __init__(
        self,
        calendar: Calendar,
        eraser: Eraser,
        publisher: Publisher,
        retention: Retention,
        *,
        elapsed: Callable[[], float] = monotonic,
    ) -> None:
        self._calendar = calendar
        self._eraser = eraser
        self._publisher = publisher
        self._retention = retention
        self._elapsed = elapsed
        self._dropped_before: date | None = None
        self._hasty: tuple[date, float] | None = None

    def run(self) -> UpkeepReport:
        """Do everything that is due once.

        What fails does not keep the rest from being done; of several errors the last is raised.
        """
        try:
            published, refused = self._publish()
        finally:
            # Erasures first: what they still have to reach is found by what retention drops.
            try:
                waiting = self._eraser.finish()
            finally:
                self._drop_old()
        return UpkeepReport(published, refused, self._publisher.due().days, waiting)

    def _publish(self) -> tuple[list[str], list[str]]:
        """The ids of new releases, and why metrics stopped early."""
        published: list[str] = []
        refused: list[str] = []
        if not self._publisher.is_counted_here:
            return published, refused
        end = self._calendar.last_closed_day()
        for metric in Metric:
            try:
                for release in self._publisher.publish_through(end, metrics=[metric]):
                    published.append(release.release_id)  # noqa: PERF401 - keeps what came before an error
            except BudgetExhaustedError as error:
                refused.append(error.message)
        return published, refused

    def _drop_old(self) -> None:
        """Once a day, drop what is past the retention, from the journal too.

        Raises:
            HastyRetentionError: if that is so much that it waits.
        """
        first_kept, _ = self._calendar.accepted_days()
        if self._dropped_before != first_kept:
            self._require_patience(first_kept)
            self._retention.drop(first_kept)
            self._eraser.forget_before(first_kept)
            self._dropped_before = first_kept

    def _require_patience(self, first_kept: date) -> None:
        """Pass if little is to be dropped, or the clock has said so for long enough."""
        now = self._elapsed()
        if self._hasty is None or not self._hasty[0] <= first_kept <= self._hasty[0] + LEAP:
            is_hasty = self._retention.is_hasty(first_kept)
            self._hasty = (first_kept, now) if is_hasty else None
        if self._hasty is not None:
            waits = BELIEVED_AFTER - timedelta(seconds=now - self._hasty[1])
            if waits > timedelta(0):
                raise HastyRetentionError(first_kept, LEAP, waits)
            self._hasty = None
