"""What is spent, due and waiting, and whether the ledger may grow: read at each scrape."""

from collections.abc import Iterator
from datetime import datetime

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dpdau.application import Application
from dpdau.logs import described
from dpdau.model.releases import Metric as PublishedMetric

__all__ = ["StoreGauges"]

_log = structlog.get_logger("dpdau.service")


class StoreGauges(Collector):
    """Gauges that the store is asked for.

    Each group is read by itself: what cannot be read is left out, so that all else still shows
    while the store is down or damaged; of several errors of a scrape the first is logged.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering does not read the store."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The gauges that can be read, and whether all could."""
        failure: Exception | None = None
        for group in (self._budgets, self._publication, self._erasures, self._ledger):
            try:
                yield from list(group())
            except Exception as error:  # noqa: BLE001 - a scrape must show what else there is
                failure = failure or error
        if failure is not None:
            _log.error("gauges missing", **described(failure))
        yield GaugeMetricFamily(
            "dp_store_readable",
            "1 if this scrape could read all that it asks the store for, otherwise 0.",
            value=failure is None,
        )

    def _budgets(self) -> Iterator[Metric]:
        spent = GaugeMetricFamily(
            "dp_budget_epsilon_spent",
            "What the current period's releases have cost.",
            labels=["metric"],
        )
        remaining = GaugeMetricFamily(
            "dp_budget_epsilon_remaining",
            "What is left of the current period's budget.",
            labels=["metric"],
        )
        cap = GaugeMetricFamily(
            "dp_budget_epsilon_cap",
            "The most that the current period's releases may cost.",
            labels=["metric"],
        )
        for metric in PublishedMetric:
            budget = self._application.budget_of(metric)
            spent.add_metric([metric], budget.epsilon_spent)
            remaining.add_metric([metric], budget.epsilon_remaining)
            cap.add_metric([metric], budget.epsilon_cap)
        yield from (spent, remaining, cap)

    def _publication(self) -> Iterator[Metric]:
        due = self._application.publisher.due()
        yield GaugeMetricFamily(
            "dp_days_due",
            "Closed days of continual series that wait to be published.",
            value=due.days,
        )
        yield GaugeMetricFamily(
            "dp_publication_overdue_seconds",
            "How long ago the oldest of these days closed; 0 if none waits.",
            value=self._seconds_since(due.since),
        )

    def _erasures(self) -> Iterator[Metric]:
        with self._application.store.read() as reader:
            waiting = reader.unfinished_erasures()
        yield GaugeMetricFamily(
            "dp_erasures_waiting",
            "Erasures whose pages wait to be purged.",
            value=len(waiting),
        )
        yield GaugeMetricFamily(
            "dp_erasure_oldest_seconds",
            "How long ago the oldest of these erasures was requested; 0 if none waits.",
            value=self._seconds_since(waiting[0].requested_at if waiting else None),
        )

    def _ledger(self) -> Iterator[Metric]:
        with self._application.store.read() as reader:
            newest = reader.ledger_head()
        yield GaugeMetricFamily(
            "dp_ledger_rows",
            "Rows of the ledger.",
            value=0 if newest is None else newest.sequence,
        )
        yield GaugeMetricFamily(
            "dp_ledger_fits",
            "1 if the ledger's newest row and the copy of its head fit, so that values may be "
            "released; 0 if releases have stopped.",
            value=self._application.guard.stopped_by() is None,
        )

    def _seconds_since(self, moment: datetime | None) -> float:
        if moment is None:
            return 0.0
        return max((self._application.calendar.now() - moment).total_seconds(), 0.0)
