"""Landing: events of files that keep coming are taken into the folder that belongs to the store.

Structured Streaming remembers which files it has given to which batch, and gives a batch that did not
end the same files again. A batch is written as a whole under its number, in place of what a former try
may have left. So every row of every file is landed once, whoever dies when.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery

from dpdau.application import Application
from dpdau.spark.events import is_time, refuse, understood
from dpdau.spark.failures import failing_clearly
from dpdau.spark.landed import LandedEvents
from dpdau.spark.pseudonyms import pseudonymous
from dpdau.spark.sources import TableSource

__all__ = ["Landed", "Lander"]


@dataclass(frozen=True, slots=True)
class Landed:
    """What was done; no rows are told.

    Attributes:
        batches: how many batches were landed.
    """

    batches: int


class Lander:
    """Lands batches of one stream."""

    def __init__(
        self,
        application: Application,
        source: TableSource,
        landed: LandedEvents,
        *,
        max_bad: int,
        watch: Callable[[int], None],
    ) -> None:
        """Join a stream to a folder.

        Args:
            application: owns the store.
            source: what to read.
            landed: where to.
            max_bad: how many rows of a batch may be no events; they are left out.
            watch: is told after each batch how many there were.
        """
        self._application = application
        self._source = source
        self._landed = landed
        self._max_bad = max_bad
        self._watch = watch
        self._batches = 0
        self._fault: Exception | None = None

    def run(self, stream: DataFrame, every_seconds: float | None) -> Landed:
        """Land all that is there, or go on until interrupted.

        Args:
            stream: the source as a stream.
            every_seconds: how often to look for more; None to end when nothing is left.

        Raises:
            RowsRefusedError: if a batch has too many rows that are no events.
            FileUnreadableError: if a file cannot be read.
            SparkFailedError: if a job fails for another reason.
        """
        writer = stream.writeStream.foreachBatch(self._land)
        writer = writer.option("checkpointLocation", self._landed.checkpoint.path)
        trigger = (
            writer.trigger(availableNow=True)
            if every_seconds is None
            else writer.trigger(processingTime=f"{every_seconds:g} seconds")
        )
        with failing_clearly("landing events", self._source.name):
            self._finish(trigger.start())
        return Landed(self._batches)

    def _finish(self, query: StreamingQuery) -> None:
        try:
            query.awaitTermination()
        except Exception:
            # The error of the batch itself, which came back through Spark as a text.
            if self._fault is not None:
                raise self._fault from None
            raise
        finally:
            query.stop()

    def _land(self, rows: DataFrame, batch: int) -> None:
        try:
            with failing_clearly("landing events", self._source.name):
                self._write(rows, batch)
        except Exception as fault:
            self._fault = fault
            raise
        self._batches += 1
        self._watch(self._batches)

    def _write(self, rows: DataFrame, batch: int) -> None:
        application, arrival = self._application, self._source.arrival
        rules = application.event_rules()
        events = understood(rows, rules, arrival, first_day=rules.first_day)
        events = refuse(events, self._max_bad)
        found = pseudonymous(events, application.pseudonymizer, application.sampler)
        self._landed.write(batch, found, is_time=is_time(rows, arrival))
