"""What the figures of a soak's days say: memory, files, queue, rate and latencies."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from _verdicts import Verdict, bounded, flat_memory, level, no_drift, steady

__all__ = ["judged"]

_MOST_WAL_MIB = 256.0
_MOST_ERASURES = 50.0


def judged(
    lived: Sequence[dict[str, Any]],
    samples: Sequence[dict[str, float]],
    refused: Mapping[int, int],
    *,
    most_waiting: float,
) -> list[Verdict]:
    """All that can be said without the store.

    Args:
        lived: figures of each day.
        samples: what was seen of process and files.
        refused: answers that readers should not have got, by status.
        most_waiting: how many events may wait to be written at any moment.
    """

    def daily(name: str, by: Callable[[list[float]], Any] = np.median) -> list[float]:
        """A sampled figure by day, for days that have a sample."""
        return [
            float(by(values))
            for day in range(len(lived))
            if (values := [each[name] for each in samples if each["day"] == day])
        ]

    def of(name: str) -> list[float]:
        return [float(each[name]) for each in lived]

    known = of("known_users")
    return [
        flat_memory("memory of the service", daily("resident_mib"), known),
        flat_memory("size of the store's file", daily("store_mib"), known),
        bounded("write-ahead log", daily("wal_mib", max), _MOST_WAL_MIB, "MiB"),
        flat_memory("all other files but backups", daily("others_mib"), known),
        bounded("events that wait", daily("waiting_events", max), most_waiting, "events"),
        bounded("erasures that wait", daily("erasures_waiting", max), _MOST_ERASURES, "erasures"),
        level("open files", daily("open_files")),
        level("threads", daily("threads")),
        steady("events/s", of("events_a_second"), most_ratio=1.25, slack=0, rises=False),
        steady("p50 of ingestion, ms", of("p50_ms"), most_ratio=1.25, slack=2, rises=True),
        steady("p99 of ingestion, ms", of("p99_ms"), most_ratio=1.5, slack=10, rises=True),
        steady("p50 of readers, ms", of("read_p50_ms"), most_ratio=1.25, slack=2, rises=True),
        steady("p99 of readers, ms", of("read_p99_ms"), most_ratio=1.5, slack=10, rises=True),
        no_drift(
            "answers to readers",
            {str(status): count for status, count in refused.items()},
            sum(int(each["reads"]) for each in lived),
        ),
    ]
