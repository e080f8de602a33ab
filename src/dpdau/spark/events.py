"""Rows of a table, understood as events or refused with a reason.

The columns are those of an event: `user_id`, `op`, `day` or `ts`, and if wanted `scope`. A further one
tells the order of arrival, which a table does not have by itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - as all of Spark's documentation has it
from pyspark.sql.types import (
    DataType,
    DateType,
    IntegralType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from dpdau.errors import InvalidValueError, RowsRefusedError
from dpdau.formats import EventRules
from dpdau.model.events import MAX_USER_ID_BYTES

__all__ = ["EPOCH", "from_day_on", "is_time", "refuse", "understood"]

EPOCH = date(1970, 1, 1).toordinal()
"""The ordinal of the day that Spark counts from."""

_DAY = r"^\d{4}-\d{2}-\d{2}$"
_MOMENT = r"^\d{4}-\d{2}-\d{2}[Tt ].*(?:[Zz]|[+-]\d{2}:?\d{2})$"
_LATEST = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class _Table:
    """A table and what its columns are."""

    table: DataFrame
    arrival: str

    def kind(self, name: str) -> DataType | None:
        return next((each.dataType for each in self.table.schema if each.name == name), None)

    def require(self, name: str, *kinds: type[DataType], expected: str) -> DataType:
        kind = self.kind(name)
        if kind is None:
            raise InvalidValueError("columns", self.table.columns, f"a column {name}")
        if not isinstance(kind, kinds):
            raise InvalidValueError(f"column {name}", kind.simpleString(), expected)
        return kind


def is_time(table: DataFrame, arrival: str) -> bool:
    """Whether the column of the order of arrival tells times, and not mere numbers.

    Raises:
        InvalidValueError: if there is no such column, or it has no order.
    """
    expected = "a timestamp or a whole number"
    kinds = TimestampType, TimestampNTZType, IntegralType
    kind = _Table(table, arrival).require(arrival, *kinds, expected=expected)
    return not isinstance(kind, IntegralType)


def from_day_on(table: DataFrame, first_day: date, rules: EventRules) -> DataFrame:
    """The rows that may matter for counts of a day and of later ones, by what files can skip.

    Rows that erase a person matter whatever day they carry, and rows without one are refused later.
    """
    found = _Table(table, "")
    name = "day" if found.kind("day") is not None else "ts"
    column = F.col(name)
    start = datetime.combine(first_day, datetime.min.time(), rules.timezone).astimezone(UTC)
    kind = found.kind(name)
    if isinstance(kind, DateType):
        earlier = column < F.lit(first_day)
    elif isinstance(kind, StringType) and name == "day":
        earlier = column.rlike(_DAY) & (column < F.lit(first_day.isoformat()))
    elif isinstance(kind, TimestampType):
        earlier = column < F.lit(start - _LATEST)
    else:
        return table
    recent = table.where(column.isNull() | ~earlier)
    erases = _erases(found, rules)
    return recent if erases is None else recent.unionByName(table.where(earlier & erases))


def understood(table: DataFrame, rules: EventRules, arrival: str, *, first_day: date) -> DataFrame:
    """Events in columns: user_id, day (an ordinal), add, whole_user, arrival; and refusal.

    Args:
        table: the rows.
        rules: what an event may be now.
        arrival: the column of the order of arrival.
        first_day: a row before it is refused.

    Raises:
        InvalidValueError: if a column is missing, or of a type that it cannot have.
    """
    found = _Table(table, arrival)
    for name in ("user_id", "op"):
        found.require(name, StringType, expected="text")
    user_id, op = F.col("user_id"), F.col("op")
    moment = F.col(arrival)
    if is_time(table, arrival):
        moment = F.unix_micros(moment.cast("timestamp"))
    day = _day(found, rules)
    erases = _erases(found, rules)
    size = F.octet_length(user_id)
    refusals = [
        (user_id.isNull() | (size == 0), "without a user id"),
        (size > MAX_USER_ID_BYTES, f"with a user id of more than {MAX_USER_ID_BYTES} bytes"),
        (~F.is_valid_utf8(user_id), "with a user id that is not UTF-8"),
        (op.isNull() | ~op.isin("+", "-"), 'with an op that is neither "+" nor "-"'),
        (_has_unfit_scope(found), 'with a scope that is neither "day" nor "user", or beside "+"'),
        (day.isNull(), "without a day or ts that can be read"),
        (day < first_day.toordinal(), f"before {first_day}"),
        (day > rules.last_day.toordinal(), f"after {rules.last_day}"),
        (moment.isNull(), f"without {arrival}"),
    ]
    whole_user = F.expr("false") if erases is None else F.coalesce(erases, F.expr("false"))
    return table.select(
        user_id,
        day.cast("int").alias("day"),
        (op == "+").alias("add"),
        whole_user.alias("whole_user"),
        moment.cast("long").alias("arrival"),
        F.coalesce(*(F.when(fault, F.lit(reason)) for fault, reason in refusals)).alias("refusal"),
    )


def refuse(events: DataFrame, max_bad: int) -> DataFrame:
    """The events among understood rows, if not too many are none.

    Raises:
        RowsRefusedError: if they are.
    """
    faults = events.where(F.col("refusal").isNotNull()).groupBy("refusal").count().collect()
    counts: Mapping[str, int] = {row["refusal"]: row["count"] for row in faults}
    if sum(counts.values()) > max_bad:
        raise RowsRefusedError(dict(sorted(counts.items())), max_bad)
    return events.where(F.col("refusal").isNull()).drop("refusal")


def _day(found: _Table, rules: EventRules) -> Column:
    """The ordinal of a row's day; null if it has none."""
    if found.kind("day") is None and found.kind("ts") is not None:
        zone = F.lit(rules.timezone.key)
        local = F.convert_timezone(F.lit("UTC"), zone, _moment(found).cast("timestamp_ntz"))
        day = F.to_date(local)
    elif isinstance(
        found.require("day", DateType, StringType, expected="a date, or text as YYYY-MM-DD"),
        DateType,
    ):
        day = F.col("day")
    else:
        day = F.when(F.col("day").rlike(_DAY), F.col("day").try_cast("date"))
    return F.unix_date(day) + EPOCH


def _moment(found: _Table) -> Column:
    expected = "a timestamp, text as RFC 3339, or seconds since 1970"
    kind = found.require("ts", TimestampType, NumericType, StringType, expected=expected)
    if isinstance(kind, TimestampType):
        return F.col("ts")
    if isinstance(kind, NumericType):
        return F.timestamp_seconds(F.col("ts"))
    return F.when(F.col("ts").rlike(_MOMENT), F.col("ts").try_cast("timestamp"))


def _erases(found: _Table, rules: EventRules) -> Column | None:
    """Whether a row erases the whole person; None if none can."""
    if found.kind("scope") is None:
        return F.col("op") == "-" if rules.erase_by_default else None
    default = "user" if rules.erase_by_default else "day"
    return (F.col("op") == "-") & (F.coalesce(F.col("scope"), F.lit(default)) == "user")


def _has_unfit_scope(found: _Table) -> Column:
    if found.kind("scope") is None:
        return F.expr("false")
    found.require("scope", StringType, expected='text: "day", "user" or nothing')
    scope = F.col("scope")
    return scope.isNotNull() & (~scope.isin("day", "user") | (F.col("op") == "+"))
