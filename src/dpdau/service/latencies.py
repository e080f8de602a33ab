"""How long each route's newest requests took, as quantiles."""

from collections import deque
from collections.abc import Iterator, Sequence
from threading import Lock

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["RecentLatencies", "quantile"]

_QUANTILES = (50, 95, 99)
_WINDOW = 1_024


class RecentLatencies(Collector):
    """Quantiles over the newest requests of each route."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_route: dict[str, deque[float]] = {}

    def add(self, route: str, milliseconds: float) -> None:
        """Remember one request."""
        with self._lock:
            window = self._by_route.setdefault(route, deque(maxlen=_WINDOW))
            window.append(milliseconds)

    def collect(self) -> Iterator[Metric]:
        """One gauge per quantile, labelled by route."""
        with self._lock:
            windows = {route: list(window) for route, window in self._by_route.items()}
        ordered = {route: sorted(window) for route, window in windows.items()}
        for percent in _QUANTILES:
            family = GaugeMetricFamily(
                f"dp_request_latency_ms_p{percent}",
                f"{percent} % of a route's last {_WINDOW:,} requests took no longer.",
                labels=["route"],
            )
            for route, latencies in ordered.items():
                family.add_metric([route], quantile(latencies, percent))
            yield family


def quantile(ordered: Sequence[float], percent: int) -> float:
    """The smallest value that at least `percent` % of the values do not exceed."""
    return ordered[-(-len(ordered) * percent // 100) - 1]
