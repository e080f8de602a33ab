"""What is done with Spark: publishing, landing, compacting, and handing a store over to it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime

from pyspark.sql import SparkSession

from dpdau.application import Application
from dpdau.bootstrap import build
from dpdau.config import Settings, load_settings
from dpdau.errors import DpdauError
from dpdau.model.calendar import utc_now
from dpdau.model.sources import ActivitySource
from dpdau.pipeline.source import folder_of, hand_over_to_spark, require_source
from dpdau.spark.activity import tombstone_rows
from dpdau.spark.census import EventReader, SparkCensus
from dpdau.spark.failures import failing_clearly
from dpdau.spark.folders import Folder
from dpdau.spark.landed import LandedEvents
from dpdau.spark.landing import Landed, Lander
from dpdau.spark.limiters import LimiterTables
from dpdau.spark.session import open_session
from dpdau.spark.sources import TableSource
from dpdau.spark.tables import TableEvents

__all__ = ["adopt", "compact", "land", "publish"]

_NOTHING_TO_DO = "Spark has nothing to do here: set ACTIVITY_SOURCE for a new store, or hand this one over with `dpdau spark adopt`"


def publish(
    settings: Settings,
    source: TableSource | None = None,
    *,
    through: date | None = None,
    start: date | None = None,
    max_bad: int = 0,
    clock: Callable[[], datetime] = utc_now,
) -> list[str]:
    """Publish every closed day that is due, oldest first, each exactly once.

    Args:
        settings: name the store.
        source: the events; by default those that were landed.
        through: the newest day to publish; by default the last closed one.
        start: the oldest day to publish; by default all that is due.
        max_bad: how many rows may be no events; they are left out.
        clock: gives the time.

    Returns:
        The ids of the new releases.

    Raises:
        DpdauError: with what was published before in its details.
    """
    published: list[str] = []
    try:
        with _working(settings, clock) as (spark, application, folder):
            events: EventReader = LandedEvents(spark, folder / "landed")
            if source is not None:
                events = TableEvents(spark, application, source, max_bad)
            limiters = LimiterTables(spark, folder / "limiters")
            window_days = settings.mau_window_days
            with SparkCensus(spark, application, events, limiters, window_days) as census:
                for release in application.publish(through, start, census):
                    published.append(release.release_id)  # noqa: PERF401 - what came before an error counts
            with failing_clearly("clearing up"), application.store.read() as reader:
                limiters.clear(reader)
    except DpdauError as error:
        error.details["published"] = published
        raise
    return published


def land(
    settings: Settings,
    source: TableSource,
    *,
    max_bad: int = 0,
    every_seconds: float | None = None,
    watch: Callable[[int], None] = lambda _: None,
    clock: Callable[[], datetime] = utc_now,
) -> Landed:
    """Take in the files of a source that have not been taken yet, each once.

    Args:
        settings: name the store.
        source: the files; always the same for one store.
        max_bad: how many rows of a batch may be no events; they are left out.
        every_seconds: how often to look for more; None to end when nothing is left.
        watch: is told after each batch how many there were.
        clock: gives the time.

    Raises:
        RowsRefusedError: if a batch has too many rows that are no events.
        FileUnreadableError: if a file cannot be read.
        SparkFailedError: if a job fails for another reason.
    """
    with _working(settings, clock) as (spark, application, folder):
        landed = LandedEvents(spark, folder / "landed")
        lander = Lander(application, source, landed, max_bad=max_bad, watch=watch)
        return lander.run(source.stream(spark), every_seconds)


def compact(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> int:
    """Write the landed events anew: without erased people, former operations and old days.

    Args:
        settings: name the store.
        clock: gives the time.

    Returns:
        How many batches were taken into the table.

    Raises:
        SparkFailedError: if a job fails; what was there stands.
    """
    with _working(settings, clock) as (spark, application, folder), failing_clearly("compacting"):
        landed = LandedEvents(spark, folder / "landed")
        with application.store.read() as reader:
            tombstones = reader.tombstones()
        timezone = application.calendar.timezone
        erased = tombstone_rows(spark, tombstones, timezone, is_time=landed.is_time())
        first_kept, _ = application.calendar.accepted_days()
        return landed.compact(first_kept.toordinal(), erased)


def adopt(settings: Settings) -> None:
    """Hand the store over: from its next series on, values are counted by Spark.

    Args:
        settings: name the store, with `ACTIVITY_SOURCE` still as it is.

    Raises:
        SettingsError: if the settings are not such that Spark can count with them.
        SeriesRunningError: if a series runs, of which only the store knows whom it has counted.
    """
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    load_settings(**{**given, "activity_source": ActivitySource.SPARK})
    with build(settings) as application:
        hand_over_to_spark(application.store)


@contextmanager
def _working(
    settings: Settings, clock: Callable[[], datetime]
) -> Iterator[tuple[SparkSession, Application, Folder]]:
    """The session, the store, and the folder that belongs to it."""
    with build(settings, clock=clock) as application:
        with application.store.read() as reader:
            require_source(reader, ActivitySource.SPARK, _NOTHING_TO_DO)
            name = folder_of(reader)
        spark = open_session()
        root = settings.spark_dir or f"file://{(settings.data_dir / 'spark').resolve()}"
        yield spark, application, Folder(spark, root) / name
