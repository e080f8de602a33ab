"""What operators see of the service at work, in Prometheus' format; it needs the admin scope."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dpdau.application import Application
from dpdau.errors import DpdauError
from dpdau.model.events import Refusal
from dpdau.model.releases import Metric as PublishedMetric
from dpdau.pipeline.writer import GroupCommitter, GroupReport

__all__ = ["OTHER_METHOD", "UNMATCHED", "ServiceMetrics", "quantile"]

UNMATCHED = "unmatched"
"""Stands for the route of what no route answers."""
OTHER_METHOD = "OTHER"
"""Stands for any method that is not one of HTTP's common ones, and for none."""

_LATENCY_BUCKETS_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000)
_COMMIT_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_QUANTILES = (50, 95, 99)
_LATENCY_WINDOW = 1_024
_EVENT_FIELDS = frozenset({"user_id", "op", "day", "ts", "scope"})


class ServiceMetrics:
    """Counts of one app, in a registry of its own."""

    def __init__(self, application: Application) -> None:
        """Register everything.

        Args:
            application: asked at every scrape what is spent and due.
        """
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "dp_requests",
            "Requests answered.",
            ["route", "method", "status"],
            registry=self._registry,
        )
        self._latency = Histogram(
            "dp_request_latency_ms",
            "Time from a request's first byte to its answer, in milliseconds.",
            ["route"],
            buckets=_LATENCY_BUCKETS_MS,
            registry=self._registry,
        )
        # Kept, because finding a labelled counter takes longer than counting.
        self._by_labels: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._accepted = self._counter("dp_events_accepted", "Events acknowledged.")
        self._rejected = Counter(
            "dp_events_rejected",
            "Events refused by the field at fault, and whole requests by the kind of problem.",
            ["reason"],
            registry=self._registry,
        )
        self._refused = self._counter(
            "dp_events_refused_after_erasure",
            "Events acknowledged and dropped because their user had been erased.",
        )
        self._erased = self._counter("dp_erased_users", "Users named by requests to erase.")
        self._refused_erasures = Counter(
            "dp_erasures_refused",
            "Requests to erase after which nobody was erased, by the kind of problem.",
            ["reason"],
            registry=self._registry,
        )
        self._commit_seconds = Histogram(
            "dp_commit_seconds",
            "Time to apply and commit one group of batches.",
            buckets=_COMMIT_BUCKETS_SECONDS,
            registry=self._registry,
        )
        self._failed_commits = self._counter("dp_commits_failed", "Groups that were not stored.")
        self._waiting = Gauge(
            "dp_writer_waiting_events",
            "Events received and not yet committed.",
            registry=self._registry,
        )
        self._recent = _RecentLatencies()
        self._registry.register(self._recent)
        self._registry.register(_AccountCollector(application))

    def watch(self, writer: GroupCommitter) -> None:
        """Show the length of a writer's queue."""
        self._waiting.set_function(lambda: writer.waiting_events)

    def request(self, route: str, method: str, status: int, milliseconds: float) -> None:
        """Count an answered request; `route` is a template, never a path."""
        labels = route, method, status
        if labels not in self._by_labels:
            counter = self._requests.labels(route, method, str(status))
            self._by_labels[labels] = counter, self._latency.labels(route)
        counter, latency = self._by_labels[labels]
        counter.inc()
        latency.observe(milliseconds)
        self._recent.add(route, milliseconds)

    def refused(self, status: int) -> None:
        """Count what was answered before there was a request to speak of."""
        self._requests.labels(UNMATCHED, OTHER_METHOD, str(status)).inc()

    def accepted(self, events: int) -> None:
        """Count events that were acknowledged."""
        self._accepted.inc(events)

    def rejected(self, refusals: Iterable[Refusal]) -> None:
        """Count events that were refused, by the field that their reason begins with."""
        for refusal in refusals:
            field = refusal.reason.partition(" ")[0]
            self._rejected.labels(field if field in _EVENT_FIELDS else "event").inc()

    def rejected_request(self, problem: str) -> None:
        """Count a request of events that was refused before any event was looked at."""
        self._rejected.labels(problem).inc()

    def erased(self, users: int) -> None:
        """Count people who were named by a request to erase."""
        self._erased.inc(users)

    def refused_erasure(self, problem: str) -> None:
        """Count a request to erase that was refused or failed."""
        self._refused_erasures.labels(problem).inc()

    def committed(self, report: GroupReport) -> None:
        """Count a commit of the writer."""
        self._commit_seconds.observe(report.seconds)
        if report.outcome is None:
            self._failed_commits.inc()
            return
        self._refused.inc(report.outcome.refused_after_erasure)
        self._erased.inc(report.outcome.erased_users)

    def ingestion(self) -> dict[str, int]:
        """What was ingested since the start, in events, and the groups that were not stored."""
        return {
            "accepted": _total(self._accepted),
            "rejected": _total(self._rejected),
            "refused_after_erasure": _total(self._refused),
            "waiting": _total(self._waiting),
            "failed_commits": _total(self._failed_commits),
        }

    def exposition(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, help_text: str) -> Counter:
        return Counter(name, help_text, registry=self._registry)


class _RecentLatencies(Collector):
    """Quantiles over the newest requests of each route."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_route: dict[str, deque[float]] = {}

    def add(self, route: str, milliseconds: float) -> None:
        """Remember one request."""
        with self._lock:
            window = self._by_route.setdefault(route, deque(maxlen=_LATENCY_WINDOW))
            window.append(milliseconds)

    def collect(self) -> Iterator[Metric]:
        """One gauge per quantile, labelled by route."""
        with self._lock:
            ordered = {route: sorted(window) for route, window in self._by_route.items()}
        for percent in _QUANTILES:
            family = GaugeMetricFamily(
                f"dp_request_latency_ms_p{percent}",
                f"{percent} % of a route's last {_LATENCY_WINDOW:,} requests took no longer.",
                labels=["route"],
            )
            for route, latencies in ordered.items():
                family.add_metric([route], quantile(latencies, percent))
            yield family


class _AccountCollector(Collector):
    """What is spent, due and waiting, read from the store at each scrape."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering does not read the store."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The gauges; none while the store cannot be read, so that the others still show."""
        try:
            yield from list(self._gauges())
        except DpdauError:
            return

    def _gauges(self) -> Iterator[Metric]:
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
        for metric in PublishedMetric:
            budget = self._application.budget_of(metric)
            spent.add_metric([metric], budget.epsilon_spent)
            remaining.add_metric([metric], budget.epsilon_remaining)
        with self._application.store.read() as reader:
            waiting = len(reader.unfinished_erasures())
        due = self._application.publisher.due_days()
        yield spent
        yield remaining
        yield GaugeMetricFamily(
            "dp_days_due", "Closed days of continual series that wait to be published.", value=due
        )
        yield GaugeMetricFamily(
            "dp_erasures_waiting", "Erasures whose pages wait to be purged.", value=waiting
        )


def _total(metric: Counter | Gauge) -> int:
    """The sum over all labels."""
    samples = (sample for family in metric.collect() for sample in family.samples)
    return round(sum(each.value for each in samples if not each.name.endswith("_created")))


def quantile(ordered: Sequence[float], percent: int) -> float:
    """The smallest value that at least `percent` % of the values do not exceed."""
    return ordered[-(-len(ordered) * percent // 100) - 1]
