"""Limiter tables: whom a running series has counted, from one publication to the next.

What is published must never be computed anew from events that have changed since, or a late
retraction would buy its user another run. So each publication leaves a table, which is never changed,
and the store names it in the transaction that records the days. A job that dies before leaves a table
that nothing names, and nothing is published.

Formal guarantees:
    Totals are computed from the table as it was written, not from the events that it was made of. So
    they are the sums of exactly the runs that its rows account for, also if events change while a
    job runs or parts of it run twice.
"""

import re
import secrets

import msgspec
from pyspark.sql import DataFrame, SparkSession

from dpdau.errors import LimiterTableError
from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.census import Span
from dpdau.pipeline.ports import Reader
from dpdau.spark.folders import Folder
from dpdau.spark.presence import LIMITER

__all__ = ["LimiterTables"]

_SERIES = re.compile(r"(?P<metric>[a-z]+)-(?P<window>\d+)d-(?P<period>\d{4}(?:-\w+)?)")
_TABLE = re.compile(r"(?P<rows>\d{5})-[0-9a-f]{16}")
_NAME_BYTES = 8


class _Reference(msgspec.Struct, frozen=True):
    """What the store keeps in place of a limiter.

    Attributes:
        table: the name of the table among those of the series.
        users: how many rows it has.
    """

    table: str
    users: int


class LimiterTables:
    """The limiter tables of one store."""

    def __init__(self, spark: SparkSession, folder: Folder) -> None:
        self._spark = spark
        self._folder = folder

    def read(self, span: Span) -> DataFrame | None:
        """The table that a span goes on from; None if it is the period's first.

        Raises:
            LimiterTableError: if it is not there as it was written.
        """
        if span.limiter is None:
            return None
        series_id = span.series.series_id
        try:
            reference = msgspec.json.decode(span.limiter, type=_Reference)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            reason = "is named by something that Spark did not write"
            raise LimiterTableError(series_id, "", reason) from None
        folder = self._folder / series_id / reference.table
        if not folder.is_complete():
            raise LimiterTableError(series_id, folder.path, "is missing, or not complete")
        table = self._spark.read.schema(LIMITER).parquet(folder.path)
        if table.count() != reference.users:
            raise LimiterTableError(series_id, folder.path, "lacks rows that it had")
        return table

    def write(self, span: Span, rows: DataFrame) -> tuple[DataFrame, bytes]:
        """Write the table after a span; gives it as it was written, and what names it."""
        name = f"{span.last_row + 1:05}-{secrets.token_hex(_NAME_BYTES)}"
        folder = self._folder / span.series.series_id / name
        rows.write.parquet(folder.path)
        folder.sync()
        table = self._spark.read.schema(LIMITER).parquet(folder.path)
        return table, msgspec.json.encode(_Reference(name, table.count()))

    def clear(self, reader: Reader) -> None:
        """Delete the tables that no publication can go on from any more.

        That is: those of complete series, and those of as many days as a series has or fewer, but
        the one that the store names. Another publisher may be about to name one of more days.
        """
        for series in self._folder.folders():
            match = _SERIES.fullmatch(series.name)
            if match is not None:
                key = SeriesKey(Metric(match["metric"]), int(match["window"]), match["period"])
                _clear(series, *_kept(reader, key))


def _kept(reader: Reader, key: SeriesKey) -> tuple[int | None, str]:
    """How many days a series has, None for all, and the table that the store names."""
    state = reader.series_state(key)
    if state is not None and state.limiter is not None:
        reference = msgspec.json.decode(state.limiter, type=_Reference)
        return len(state.totals), reference.table
    is_open = reader.ledger_row(LedgerKind.SERIES, key.series_id) is not None
    return (None if is_open else 0), ""


def _clear(series: Folder, rows: int | None, named: str) -> None:
    if rows is None:
        series.delete()
        return
    for table in series.folders():
        match = _TABLE.fullmatch(table.name)
        if match is not None and int(match["rows"]) <= rows and table.name != named:
            table.delete()
