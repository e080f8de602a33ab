"""Landed events: pseudonymous events that Spark keeps beside the store, as files.

`batches/N` is what the N-th batch of a stream brought, written anew as a whole if the batch runs again.
`compacted/THROUGH-GENERATION-…` holds all batches up to THROUGH as one table: the last operation per
user and day, and one erasure a person. The newest complete generation counts, with the batches behind it;
what it replaces is deleted afterwards, so whoever dies in between leaves nothing out and nothing twice.
"""

import re
import secrets
from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as all of Spark's documentation has it
from pyspark.sql.types import TimestampType

from dpdau.spark.activity import EventTables, last_erasures, spared
from dpdau.spark.folders import Folder

__all__ = ["LandedEvents", "Parts"]

_GENERATION = re.compile(r"(?P<through>\d{12})-(?P<number>\d{6})-[0-9a-f]{16}")
_NAME_BYTES = 8
_NOTHING = "pseudonym bigint, day int, add boolean, whole_user boolean, arrival bigint"


@dataclass(frozen=True, slots=True)
class Parts:
    """The folders that landed events are in at a moment.

    Attributes:
        generation: the compacted table that counts; None if there is none.
        through: the last batch that is in it; −1 for none.
        number: of the newest generation, complete or not.
        batches: complete batches behind it, in order, with their numbers.
    """

    generation: Folder | None
    through: int
    number: int
    batches: list[tuple[int, Folder]]

    @property
    def paths(self) -> list[str]:
        """All folders to read."""
        compacted = [] if self.generation is None else [self.generation]
        return [folder.path for folder in (*compacted, *(folder for _, folder in self.batches))]


class LandedEvents:
    """The landed events of one store."""

    name = "the landed events"

    def __init__(self, spark: SparkSession, folder: Folder) -> None:
        self._spark = spark
        self._batches = folder / "batches"
        self._compacted = folder / "compacted"
        self.checkpoint = folder / "checkpoint"

    def write(self, batch: int, events: DataFrame, *, is_time: bool) -> None:
        """Land a batch, in place of what the same batch may have landed before."""
        folder = self._batches / f"{batch:012}"
        _typed(events, is_time=is_time).write.mode("overwrite").parquet(folder.path)
        folder.sync()

    def read(self, first_day: int) -> EventTables:
        """The landed events of a day and of later ones, and all erasures."""
        found = self._read(self.parts())
        return EventTables.of(
            found.events.where((F.col("day") >= first_day) | F.col("whole_user")),
            is_time=found.is_time,
        )

    def is_time(self) -> bool:
        """Whether arrival is a time in what has been landed."""
        return self._read(self.parts()).is_time

    def compact(self, first_kept: int, tombstones: DataFrame | None) -> int:
        """Write everything as one table: without erased people, former operations and old days.

        Args:
            first_kept: the first day that is kept; erasures that carry an earlier one go too.
            tombstones: erasures that the store knows of.

        Returns:
            How many batches are in it that were not in the one before.
        """
        parts = self.parts()
        if not parts.paths:
            return 0
        found = self._read(parts)
        tables = EventTables.of(found.events, is_time=found.is_time)
        erased = last_erasures([tables.erasures, tombstones])
        rows = _last_operations(spared(tables.days, erased)).unionByName(_erasures(tables))
        kept = rows.where(F.col("day") >= first_kept)
        through = max([parts.through, *(number for number, _ in parts.batches)])
        name = f"{through:012}-{parts.number + 1:06}-{secrets.token_hex(_NAME_BYTES)}"
        folder = self._compacted / name
        # In order of days, so that a count of some days skips the files of all others.
        ordered = kept.repartitionByRange("day", "pseudonym").sortWithinPartitions(
            "day", "pseudonym"
        )
        _typed(ordered, is_time=found.is_time).write.parquet(folder.path)
        folder.sync()
        self._delete_before(name, through)
        return len(parts.batches)

    def parts(self) -> Parts:
        """Where the events are now."""
        generations = [
            (match["through"], match["number"], folder)
            for folder in self._compacted.folders()
            if (match := _GENERATION.fullmatch(folder.name))
        ]
        complete = [each for each in generations if each[2].is_complete()]
        newest = max(complete, key=lambda each: each[2].name, default=None)
        through = -1 if newest is None else int(newest[0])
        behind = [
            (number, folder)
            for folder in self._batches.folders()
            if (number := int(folder.name)) > through and folder.is_complete()
        ]
        return Parts(
            generation=None if newest is None else newest[2],
            through=through,
            number=max((int(number) for _, number, _ in generations), default=0),
            batches=behind,
        )

    def _read(self, parts: Parts) -> "_Read":
        if not parts.paths:
            nothing = self._spark.createDataFrame([], _NOTHING)
            return _Read(nothing, is_time=True)
        events = self._spark.read.parquet(*parts.paths)
        if isinstance(events.schema["arrival"].dataType, TimestampType):
            return _Read(events.withColumn("arrival", F.unix_micros("arrival")), is_time=True)
        return _Read(events, is_time=False)

    def _delete_before(self, name: str, through: int) -> None:
        """Delete what a generation replaces, and what compactions that died have left."""
        for folder in self._compacted.folders():
            if folder.name < name:
                folder.delete()
        for folder in self._batches.folders():
            if int(folder.name) <= through:
                folder.delete()


@dataclass(frozen=True, slots=True)
class _Read:
    events: DataFrame
    is_time: bool


def _typed(events: DataFrame, *, is_time: bool) -> DataFrame:
    """With the column of arrival as what it was before it was landed."""
    return events.withColumn("arrival", F.timestamp_micros("arrival")) if is_time else events


def _last_operations(days: DataFrame) -> DataFrame:
    """One row per user and day; of two operations that arrived together "-" is the later one."""
    last = F.max(F.struct("arrival", (~F.col("add")).alias("leaves"))).alias("last")
    return (
        days.groupBy("pseudonym", "day")
        .agg(last)
        .select(
            "pseudonym",
            "day",
            (~F.col("last.leaves")).alias("add"),
            F.expr("false").alias("whole_user"),
            F.col("last.arrival").alias("arrival"),
        )
    )


def _erasures(tables: EventTables) -> DataFrame:
    """One row a person whom events have erased."""
    erased = last_erasures([tables.erasures])
    assert erased is not None  # noqa: S101 - landed events always may erase
    return erased.select(
        "pseudonym",
        F.col("erased_on").alias("day"),
        F.expr("false").alias("add"),
        F.expr("true").alias("whole_user"),
        F.col("erased_at").alias("arrival"),
    )
