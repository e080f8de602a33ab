"""The service verifies the ledger by itself, and remembers what it found for operators.

What releases need is checked at each of them (`pipeline.guard`). Recomputing everything that the
ledger claims is done beside that: soon after the start, every hour, and whenever someone asks. Where
it takes long it is done less often, so that it never takes more than a hundredth of the time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from time import monotonic

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dpdau.application import Application
from dpdau.errors import LedgerDamagedError
from dpdau.logs import described
from dpdau.views import VerificationView

__all__ = ["LedgerVerifier", "Verified"]

_LEAST_PAUSE_SECONDS = 3_600.0
_PAUSE_PER_SECOND = 99.0

_log = structlog.get_logger("dpdau.service")


@dataclass(frozen=True, slots=True)
class Verified:
    """What the newest complete verification found.

    Attributes:
        finished_at: when, in UTC.
        seconds: how long it took.
        fault: the first thing that is wrong; None if all is well.
    """

    finished_at: datetime
    seconds: float
    fault: str | None


class LedgerVerifier(Collector):
    """Verifies the ledger, at most once at a time in its own rounds, and shows the outcome."""

    def __init__(self, application: Application, *, timer: Callable[[], float] = monotonic) -> None:
        """Verify nothing yet.

        Args:
            application: whose ledger.
            timer: gives a time in seconds that never runs backwards.
        """
        self.newest: Verified | None = None
        self._application = application
        self._timer = timer
        self._due_at = timer()

    def run(self) -> VerificationView:
        """Recompute everything now.

        Raises:
            LedgerDamagedError: naming the first row that is wrong, and how.
            StoreError: if the store cannot be read; then nothing is known.
        """
        started = self._timer()
        try:
            found = self._application.verify()
        except LedgerDamagedError as error:
            self._remember(started, error.message)
            _log.error("verification failed", message=error.message)
            raise
        seconds = self._remember(started, None)
        _log.info(
            "ledger verified",
            rows=found.rows,
            remarks=len(found.remarks),
            seconds=round(seconds, 3),
        )
        return found

    def run_if_due(self) -> None:
        """Verify if the pause since the last time is over; what cannot be read is tried again."""
        if self._timer() < self._due_at:
            return
        try:
            self.run()
        except LedgerDamagedError:
            return
        except Exception as error:  # noqa: BLE001 - the next round may succeed
            _log.error("verification broken off", **described(error))

    def describe(self) -> Iterator[Metric]:
        """Nothing is known of it before it is collected."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The outcome as gauges, without values before the first."""
        holds = GaugeMetricFamily(
            "dp_verification_ok",
            "1 if the newest recomputation of the ledger found all of it true, 0 if not; absent "
            "before the first.",
        )
        finished = GaugeMetricFamily(
            "dp_verification_timestamp_seconds",
            "When that recomputation ended, in seconds since 1970; absent before the first.",
        )
        lasted = GaugeMetricFamily(
            "dp_verification_seconds", "How long it took; absent before the first."
        )
        newest = self.newest
        if newest is not None:
            holds.add_metric([], newest.fault is None)
            finished.add_metric([], newest.finished_at.timestamp())
            lasted.add_metric([], newest.seconds)
        yield from (holds, finished, lasted)

    def _remember(self, started: float, fault: str | None) -> float:
        """Keep the outcome, plan the next time, and give how long it took."""
        now = self._timer()
        seconds = now - started
        self.newest = Verified(self._application.calendar.now(), seconds, fault)
        self._due_at = now + max(_LEAST_PAUSE_SECONDS, _PAUSE_PER_SECOND * seconds)
        return seconds
