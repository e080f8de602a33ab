"""Who was active on which day, from pseudonymous events as they are now."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as all of Spark's documentation has it

from dpdau.model.tombstones import Tombstones
from dpdau.spark.pseudonyms import as_signed

__all__ = ["ERASURES", "EventTables", "active_days", "last_erasures", "spared", "tombstone_rows"]

ERASURES = "pseudonym bigint, day int, arrival bigint"


@dataclass(frozen=True, slots=True)
class EventTables:
    """Pseudonymous events, in two tables.

    Attributes:
        days: events that concern single days: pseudonym, day, add, arrival.
        erasures: events that erase a person: pseudonym, day, arrival; None if there can be none.
        is_time: whether arrival is a time, in microseconds since 1970, or a mere number.
    """

    days: DataFrame
    erasures: DataFrame | None
    is_time: bool

    @classmethod
    def of(cls, events: DataFrame, *, is_time: bool, may_erase: bool = True) -> "EventTables":
        """Split events with a column `whole_user`."""
        erasures = events.where("whole_user").select("pseudonym", "day", "arrival")
        return cls(
            events.where("not whole_user").select("pseudonym", "day", "add", "arrival"),
            erasures if may_erase else None,
            is_time=is_time,
        )


def active_days(
    tables: EventTables, tombstones: DataFrame | None, first_day: int, last_day: int
) -> DataFrame:
    """The distinct pairs (pseudonym, day) of a stretch of days that are "+" by now.

    The last operation wins per user and day, in order of arrival; of two that arrived together
    "-" wins.

    Args:
        tables: the events.
        tombstones: erasures that the store knows of, as rows of `ERASURES`.
        first_day: the ordinal of the first day.
        last_day: that of the last.
    """
    days = tables.days.where(F.col("day").between(first_day, last_day))
    kept = spared(days, last_erasures([tables.erasures, tombstones]))
    last = F.max(F.struct("arrival", (~F.col("add")).alias("leaves"))).alias("last")
    by_user_and_day = kept.groupBy("pseudonym", "day").agg(last)
    return by_user_and_day.where("not last.leaves").select("pseudonym", "day")


def last_erasures(parts: list[DataFrame | None]) -> DataFrame | None:
    """The newest day and arrival of each person's erasures; None if there can be none."""
    given = [part for part in parts if part is not None]
    if not given:
        return None
    erasures = given[0]
    for part in given[1:]:
        erasures = erasures.unionByName(part)
    return erasures.groupBy("pseudonym").agg(
        F.max("day").alias("erased_on"), F.max("arrival").alias("erased_at")
    )


def spared(days: DataFrame, erased: DataFrame | None) -> DataFrame:
    """The events that no erasure takes away.

    As where events are stored: what arrived before the last erasure is gone, and what is dated
    before the newest day that an erasure carries is refused whenever it arrives.
    """
    if erased is None:
        return days
    columns = days.columns
    found = days.join(erased, "pseudonym", "left")
    is_spared = (F.col("day") >= F.col("erased_on")) & (F.col("arrival") > F.col("erased_at"))
    return found.where(F.col("erased_on").isNull() | is_spared).select(*columns)


def tombstone_rows(
    spark: SparkSession, tombstones: Tombstones, timezone: ZoneInfo, *, is_time: bool
) -> DataFrame | None:
    """The store's tombstones as erasures; None if it has none.

    They tell days and no times. So all that arrived up to the end of the day on which a person was
    erased is gone; where arrival is no time, all that is dated up to that day.
    """
    if not len(tombstones):
        return None
    if is_time:
        days = tombstones.erased_on
        ends = [_end(day, timezone) for day in np.unique(tombstones.recorded_on).tolist()]
        at = np.unique(tombstones.recorded_on, return_inverse=True)[1]
        arrivals = np.array(ends, dtype=np.int64)[at]
    else:
        days = np.maximum(tombstones.erased_on, tombstones.recorded_on) + 1
        arrivals = np.full(len(tombstones), np.iinfo(np.int64).min)
    pseudonyms = as_signed(tombstones.pseudonyms)
    rows = pa.table({"pseudonym": pseudonyms, "day": days.astype(np.int32), "arrival": arrivals})
    return spark.createDataFrame(rows, ERASURES)


def _end(day: int, timezone: ZoneInfo) -> int:
    """The last microsecond of a day, since 1970."""
    midnight = datetime.combine(date.fromordinal(day + 1), datetime.min.time(), timezone)
    since = midnight - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1) - 1
