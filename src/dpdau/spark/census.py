"""The census of a store's series by Spark."""

from contextlib import ExitStack
from types import TracebackType
from typing import Protocol, Self

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from dpdau.application import Application
from dpdau.pipeline.census import Counted, Span
from dpdau.spark.activity import EventTables, active_days, tombstone_rows
from dpdau.spark.failures import failing_clearly
from dpdau.spark.limiters import LimiterTables
from dpdau.spark.presence import limited, totals, unlimited_totals

__all__ = ["EventReader", "SparkCensus"]


class EventReader(Protocol):
    """Pseudonymous events, wherever they are."""

    @property
    def name(self) -> str:
        """What errors call them."""
        ...

    def read(self, first_day: int) -> EventTables:
        """Those that matter for counts of a day (an ordinal) and of later ones."""
        ...


class SparkCensus:
    """Counts users by Spark; use it as a context manager."""

    def __init__(
        self,
        spark: SparkSession,
        application: Application,
        events: EventReader,
        limiters: LimiterTables,
        longest_window_days: int,
    ) -> None:
        self._spark = spark
        self._application = application
        self._events = events
        self._limiters = limiters
        self._longest_window_days = longest_window_days
        self._range = range(0)
        self._active: DataFrame | None = None
        self._kept = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._kept.close()

    def count(self, span: Span) -> Counted:
        """Count the users of each day of a span, within its limit; see `Census`.

        Raises:
            RowsRefusedError: if too many rows are no events.
            FileUnreadableError: if events cannot be read.
            LimiterTableError: if what the days before left is not there.
            SparkFailedError: if a job fails for another reason.
        """
        window_days = span.series.window_days
        with failing_clearly(f"counting {span.series.series_id}", self._events.name):
            active = self._active_days(span)
            if span.runs is None:
                return Counted(unlimited_totals(active, span, window_days), None)
            before = self._limiters.read(span)
            rows = limited(active, before, span, window_days)
            table, reference = self._limiters.write(span, rows)
            return Counted(totals(table, span), reference)

    def _active_days(self, span: Span) -> DataFrame:
        """The activity that a span needs, read once for all series that share days."""
        first = span.first_day - self._longest_window_days + 1
        wanted = range(first, span.last_day + 1)
        is_read = wanted.start in self._range and wanted.stop <= self._range.stop
        if self._active is None or not is_read:
            self._kept.close()
            self._active = self._read(wanted).persist(StorageLevel.MEMORY_AND_DISK)
            self._kept.callback(self._active.unpersist)
            self._range = wanted
        return self._active

    def _read(self, days: range) -> DataFrame:
        tables = self._events.read(days.start)
        with self._application.store.read() as reader:
            known = reader.tombstones()
        timezone = self._application.calendar.timezone
        erased = tombstone_rows(self._spark, known, timezone, is_time=tables.is_time)
        return active_days(tables, erased, days.start, days.stop - 1)
