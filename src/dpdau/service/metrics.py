"""What operators see of the service at work, in Prometheus' format; it needs the admin scope."""

import platform
from collections.abc import Iterable, Sequence
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import Metric

from dpdau import __version__
from dpdau.application import Application
from dpdau.bootstrap import backups_of, database_of
from dpdau.config import Settings
from dpdau.model.events import Refusal
from dpdau.pipeline.writer import GroupCommitter, GroupReport
from dpdau.service.disk_gauges import DiskGauges
from dpdau.service.latencies import RecentLatencies
from dpdau.service.store_gauges import StoreGauges
from dpdau.service.verification import LedgerVerifier

__all__ = ["OTHER_METHOD", "UNMATCHED", "ServiceMetrics"]

UNMATCHED = "unmatched"
"""Stands for the route of what no route answers."""
OTHER_METHOD = "OTHER"
"""Stands for any method that is not one of HTTP's common ones, and for none."""

_LATENCY_BUCKETS_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000)
_COMMIT_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_SERVER_ERRORS = 500
_SECONDS_PER_HOUR = 3_600
_EVENT_FIELDS = frozenset({"user_id", "op", "day", "ts", "scope"})


class ServiceMetrics:
    """Counts of one app, in a registry of its own."""

    def __init__(
        self, application: Application, settings: Settings, verifier: LedgerVerifier
    ) -> None:
        """Register everything.

        Args:
            application: asked at every scrape what is spent and due.
            settings: gives the limits that figures are compared with, and where files are.
            verifier: asked what it found.
        """
        self._registry = CollectorRegistry()
        self._calendar = application.calendar
        self._count_requests()
        self._count_events()
        self._count_upkeep()
        self._registry.register(StoreGauges(application))
        self._registry.register(verifier)
        is_file = settings.service_database_url is None
        self._registry.register(
            DiskGauges(
                settings.data_dir,
                database_of(settings) if is_file else None,
                backups_of(settings),
            )
        )
        self._state(settings)

    def watch(self, writer: GroupCommitter[Any]) -> None:
        """Show a writer's queue, and whether it runs."""
        self._waiting.set_function(lambda: writer.waiting_events)
        self._writer_running.set_function(lambda: writer.is_running)

    def request(self, route: str, method: str, status: int, milliseconds: float) -> None:
        """Count an answered request; `route` is a template, never a path."""
        labels = route, method, status
        if labels not in self._by_labels:
            counter = self._requests.labels(route, method, str(status))
            self._by_labels[labels] = counter, self._latency.labels(route)
        counter, latency = self._by_labels[labels]
        counter.inc()
        if status >= _SERVER_ERRORS:
            self._failed_requests.inc()
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

    def upkeep_succeeded(self, seconds: float) -> None:
        """Note a round of upkeep without an error, and how long it took."""
        self._upkeep_succeeded_at.set(self._now())
        self._upkeep_seconds.set(seconds)

    def upkeep_failed(self) -> None:
        """Count a round of upkeep that ended with an error."""
        self._upkeep_failures.inc()

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

    def families(self) -> Iterable[Metric]:
        """Everything as objects, for the reference."""
        return self._registry.collect()

    def _count_requests(self) -> None:
        self._requests = self._counter(
            "dp_requests", "Requests answered.", "route", "method", "status"
        )
        self._failed_requests = self._counter(
            "dp_requests_failed", "Requests answered with a status of 500 or above."
        )
        self._latency = self._histogram(
            "dp_request_latency_ms",
            "Time from a request's first byte to its answer, in milliseconds.",
            _LATENCY_BUCKETS_MS,
            "route",
        )
        # Kept, because finding a labelled counter takes longer than counting.
        self._by_labels: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._recent = RecentLatencies()
        self._registry.register(self._recent)

    def _count_events(self) -> None:
        self._accepted = self._counter("dp_events_accepted", "Events acknowledged.")
        self._rejected = self._counter(
            "dp_events_rejected",
            "Events refused by the field at fault, and whole requests by the kind of problem.",
            "reason",
        )
        self._refused = self._counter(
            "dp_events_refused_after_erasure",
            "Events acknowledged and dropped because their user had been erased.",
        )
        self._erased = self._counter("dp_erased_users", "Users named by requests to erase.")
        self._refused_erasures = self._counter(
            "dp_erasures_refused",
            "Requests to erase after which nobody was erased, by the kind of problem.",
            "reason",
        )
        self._commit_seconds = self._histogram(
            "dp_commit_seconds",
            "Time to apply and commit one group of batches.",
            _COMMIT_BUCKETS_SECONDS,
        )
        self._failed_commits = self._counter("dp_commits_failed", "Groups that were not stored.")
        self._waiting = self._gauge(
            "dp_writer_waiting_events", "Events received and not yet committed."
        )
        self._writer_running = self._gauge(
            "dp_writer_running", "1 if the thread that writes events is there, otherwise 0."
        )

    def _count_upkeep(self) -> None:
        self._upkeep_succeeded_at = self._gauge(
            "dp_upkeep_last_success_timestamp_seconds",
            "When the newest round of upkeep without an error ended, in seconds since 1970; 0 "
            "before the first.",
        )
        self._upkeep_seconds = self._gauge("dp_upkeep_round_seconds", "How long that round took.")
        self._upkeep_failures = self._counter(
            "dp_upkeep_failures", "Rounds of upkeep that ended with an error."
        )

    def _state(self, settings: Settings) -> None:
        """What does not change while the service runs."""
        self._gauge(
            "dp_writer_waiting_events_limit",
            "Beyond this many waiting events, requests are turned away.",
        ).set(settings.max_waiting_events)
        self._gauge(
            "dp_erasure_target_seconds",
            "How long an erasure may wait for its last trace to go (ERASURE_TARGET_HOURS).",
        ).set(settings.erasure_target_hours * _SECONDS_PER_HOUR)
        self._gauge(
            "dp_start_timestamp_seconds", "When the service started, in seconds since 1970."
        ).set(self._now())
        build = "The versions of dpdau and of Python; always 1."
        Gauge("dp_build_info", build, ["version", "python"], registry=self._registry).labels(
            __version__, platform.python_version()
        ).set(1)
        ProcessCollector(registry=self._registry)

    def _now(self) -> float:
        return self._calendar.now().timestamp()

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self._registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=self._registry)

    def _histogram(
        self, name: str, meaning: str, buckets: Sequence[float], *labels: str
    ) -> Histogram:
        return Histogram(name, meaning, labels, buckets=buckets, registry=self._registry)


def _total(metric: Counter | Gauge) -> int:
    """The sum over all labels."""
    samples = (sample for family in metric.collect() for sample in family.samples)
    return round(sum(each.value for each in samples if not each.name.endswith("_created")))
