"""Tables of events as they lie in a warehouse, made pseudonymous as they are read."""

from datetime import date

from pyspark.sql import SparkSession

from dpdau.application import Application
from dpdau.spark.activity import EventTables
from dpdau.spark.events import from_day_on, is_time, refuse, understood
from dpdau.spark.pseudonyms import pseudonymous
from dpdau.spark.sources import TableSource

__all__ = ["TableEvents"]


class TableEvents:
    """Reads the events of one source for one store."""

    def __init__(
        self, spark: SparkSession, application: Application, source: TableSource, max_bad: int
    ) -> None:
        """Name the source.

        Args:
            spark: the session.
            application: owns the store.
            source: where the events are.
            max_bad: how many rows may be no events; they are left out.
        """
        self._spark = spark
        self._application = application
        self._source = source
        self._max_bad = max_bad

    @property
    def name(self) -> str:
        """What errors call them."""
        return self._source.name

    def read(self, first_day: int) -> EventTables:
        """The events of a day and of later ones, and all that erase.

        Raises:
            FileUnreadableError: if they cannot be read.
            InvalidValueError: if columns are missing or of the wrong type.
            RowsRefusedError: if too many rows are no events.
        """
        application, arrival = self._application, self._source.arrival
        rules = application.event_rules()
        table = self._source.read(self._spark)
        rows = from_day_on(table, date.fromordinal(first_day), rules)
        # Older rows are left out, not refused: a warehouse keeps them for reasons of its own.
        events = refuse(understood(rows, rules, arrival, first_day=date.min), self._max_bad)
        hashed = [
            pseudonymous(part, application.pseudonymizer, application.sampler)
            for part in (events.where("not whole_user"), events.where("whole_user"))
        ]
        may_erase = "scope" in table.columns or rules.erase_by_default
        return EventTables(
            hashed[0].select("pseudonym", "day", "add", "arrival"),
            hashed[1].select("pseudonym", "day", "arrival") if may_erase else None,
            is_time=is_time(table, arrival),
        )
