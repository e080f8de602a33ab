"""Presence and its limit, for all users at once: runs of days by gaps and islands.

A day of activity makes a user present for as many days as the window has, so consecutive runs are
merged intervals, and no user-day is ever written out once for each day of a window.

Formal guarantees:
    As `privacy.flippancy.LimiterState.advance`, day by day, of which this is the closed form. Let a
    user have made `rises` of the `runs` rises that are allowed before the first day of a span, and
    be `counted` on the day before it or not. In the span the user is present in runs, maximal
    stretches of days, whatever the events say of days before. The first one goes on without a rise
    if it begins on the first day and the user was counted on the day before; every other one needs
    a rise. So exactly the first (runs − rises) of the runs are counted, one more if the first goes
    on, and what a row says of the time after the span is what the limiter would say. A row follows
    from one user's own days and row before, and there is one row a user. Hence over all spans of a
    period the days on which a user is counted form at most `runs` runs.
"""

from itertools import accumulate

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - as all of Spark's documentation has it

from dpdau.pipeline.census import Span

__all__ = ["LIMITER", "limited", "totals", "unlimited_totals"]

LIMITER = "pseudonym bigint, counted boolean, rises int, runs array<struct<start: int, end: int>>"
"""A row of a limiter table: who, whether counted on its last day, the rises so far, and the counted
runs of the span that it was written for, in order, both ends included."""


def limited(active: DataFrame, before: DataFrame | None, span: Span, window_days: int) -> DataFrame:
    """The rows of the limiter table after a span, with whom to count in it.

    Args:
        active: distinct pairs (pseudonym, day), of every day that the windows of the span reach.
        before: the limiter table of the days before; None on the period's first day.
        span: whose days are counted.
        window_days: the trailing days that a value counts.
    """
    runs = (
        _runs(active, span, window_days)
        .groupBy("pseudonym")
        .agg(F.sort_array(F.collect_list(F.struct("start", "end"))).alias("runs"))
    )
    if before is None:
        found = runs.withColumns({"counted": F.expr("false"), "rises": F.lit(0)})
    else:
        former = before.select("pseudonym", "counted", "rises")
        found = runs.join(former, "pseudonym", "full")
    was_counted = F.coalesce("counted", F.expr("false"))
    rises = F.coalesce("rises", F.lit(0))
    present = F.coalesce("runs", F.array().cast("array<struct<start: int, end: int>>"))
    starts_at_once = F.coalesce(F.get(present, 0)["start"] == span.first_day, F.expr("false"))
    goes_on = (was_counted & starts_at_once).cast("int")
    allowed = F.lit(span.runs) - rises + goes_on
    known = found.select(
        "pseudonym", rises.alias("rises"), goes_on.alias("goes_on"), _first(present, allowed)
    )
    number = F.size("runs")
    return known.select(
        "pseudonym",
        F.coalesce(F.get("runs", number - 1)["end"] == span.last_day, F.expr("false")).alias(
            "counted"
        ),
        (F.col("rises") + number - F.col("goes_on")).alias("rises"),
        "runs",
    )


def totals(table: DataFrame, span: Span) -> tuple[int, ...]:
    """How many users a limiter table counts on each day of the span that it was written for."""
    ends = table.select(F.explode("runs").alias("run")).select("run.start", "run.end")
    return _summed(ends, span)


def unlimited_totals(active: DataFrame, span: Span, window_days: int) -> tuple[int, ...]:
    """How many users are present on each day of a span, without a limit."""
    if window_days > 1:
        return _summed(_runs(active, span, window_days), span)
    days = active.where(F.col("day").between(span.first_day, span.last_day))
    found = {row["day"]: row["count"] for row in days.groupBy("day").count().collect()}
    return tuple(found.get(day, 0) for day in range(span.first_day, span.last_day + 1))


def _first(runs: Column, number: Column) -> Column:
    """As many of the first runs as there are, or are allowed."""
    return F.slice(runs, 1, F.least(number, F.size(runs))).alias("runs")


def _runs(active: DataFrame, span: Span, window_days: int) -> DataFrame:
    """Each user's stretches of presence in a span: pseudonym, start, end."""
    reaching = F.col("day").between(span.first_day - window_days + 1, span.last_day)
    by_user = Window.partitionBy("pseudonym").orderBy("day")
    # Two days of activity belong to one run if no day between is outside of the earlier one's window.
    begins = F.col("day") > F.lag("day").over(by_user) + window_days
    island = F.sum(F.coalesce(begins.cast("int"), F.lit(0))).over(by_user)
    islands = active.where(reaching).withColumn("island", island).groupBy("pseudonym", "island")
    last = F.max("day") + (window_days - 1)
    return islands.agg(
        F.greatest(F.min("day"), F.lit(span.first_day)).cast("int").alias("start"),
        F.least(last, F.lit(span.last_day)).cast("int").alias("end"),
    ).drop("island")


def _summed(runs: DataFrame, span: Span) -> tuple[int, ...]:
    """How many runs each day of a span lies in: one more where a run starts, one less behind its end."""
    steps = F.array(
        F.struct(F.col("start").alias("day"), F.lit(1).alias("step")),
        F.struct((F.col("end") + 1).alias("day"), F.lit(-1).alias("step")),
    )
    by_day = runs.select(F.inline(steps)).groupBy("day").agg(F.sum("step").alias("step"))
    found = {row["day"]: row["step"] for row in by_day.collect()}
    days = range(span.first_day, span.last_day + 1)
    return tuple(accumulate(found.get(day, 0) for day in days))
