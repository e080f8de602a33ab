"""Presence and its limit in closed form, beside the limiter that takes one day after another."""

from collections.abc import Callable
from pathlib import Path
from random import Random  # noqa: TID251 - made-up presence, no noise
from typing import Any

import pytest
from pyroaring import BitMap

from dpdau.model.calendar import Period
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.census import Span
from dpdau.privacy.flippancy import LimiterState

PERIOD = Period.named("2025-11")
FIRST = PERIOD.first.toordinal()
USERS, WINDOW, RUNS = 300, 3, 2
ROWS = ((0, 5), (6, 6), (7, 20), (21, 28))
Activity = set[tuple[int, int]]
Table = Callable[..., Any]


def span(first_row: int, last_row: int, runs: int | None = RUNS) -> Span:
    series = SeriesKey(Metric.MAU, WINDOW, PERIOD.name)
    return Span(series, PERIOD, first_row, last_row, runs, None)


def histories(random: Random) -> list[Activity]:
    """What is known at each publication: other days of other people each time, also former ones."""

    def drawn() -> Activity:
        shares = [random.choice([0.03, 0.15, 0.5, 0.95]) for _ in range(USERS)]
        return {
            (user, day)
            for user in range(USERS)
            for day in range(FIRST - 10, FIRST + 30)
            if random.random() < shares[user]
        }

    return [drawn() for _ in ROWS]


def expected(known: list[Activity]) -> tuple[list[int], dict[int, tuple[bool, int]]]:
    """The totals and, of each user, whether counted and the rises, day by day."""
    state, totals = LimiterState.empty(RUNS), []
    for (first_row, last_row), activity in zip(ROWS, known, strict=True):
        for row in range(first_row, last_row + 1):
            window = range(FIRST + row - WINDOW + 1, FIRST + row + 1)
            present = BitMap(user for user, day in activity if day in window)
            state = state.advance(present).state
            totals.append(len(state.current))
    return totals, {
        user: (user in state.current, sum(user in level for level in state.levels))
        for user in state.levels[0]
    }


def counted(
    spark: Any,
    known: list[Activity],
    *,
    before: Table = lambda table: table,
    window_days: int = WINDOW,
    anew: bool = False,
) -> tuple[list[int], dict[int, tuple[bool, int]]]:
    """The same by Spark; what is said of the table before and of the window may be wrong."""
    from dpdau.spark.presence import limited, totals  # noqa: PLC0415 - only where there is Java

    table, found = None, []
    for (first_row, last_row), activity in zip(ROWS, known, strict=True):
        active = spark.createDataFrame(sorted(activity), "pseudonym bigint, day int")
        asked = span(0 if anew else first_row, last_row)
        former = None if table is None or anew else before(table)
        rows = limited(active, former, asked, window_days).collect()
        table = spark.createDataFrame(rows, _limiter()).cache()
        found += totals(table, asked)[-(last_row - first_row + 1) :]
    assert table is not None
    return found, {row["pseudonym"]: (row["counted"], row["rises"]) for row in rows}


def _limiter() -> str:
    from dpdau.spark.presence import LIMITER  # noqa: PLC0415 - only where there is Java

    return LIMITER


@pytest.fixture
def spark(event_log: Path) -> Any:  # noqa: ARG001 - starts Spark
    from dpdau.spark.session import open_session  # noqa: PLC0415 - only where there is Java

    return open_session()


@pytest.fixture(scope="module")
def known() -> list[Activity]:
    return histories(Random(20_251_128))  # noqa: S311 - made-up presence, no noise


def test_a_span_at_once_counts_as_its_days_one_after_another(
    spark: Any, known: list[Activity]
) -> None:
    totals, limiter = counted(spark, known)
    assert (totals, limiter) == expected(known)
    assert {rises for _, rises in limiter.values()} == {1, RUNS}


@pytest.mark.parametrize(
    "fault",
    [
        {"anew": True},
        {"before": lambda table: table.selectExpr("pseudonym", "false counted", "rises")},
        {"before": lambda table: table.selectExpr("pseudonym", "counted", "0 rises")},
        {"before": lambda table: table.where("counted")},
        {"window_days": WINDOW + 1},
        {"window_days": WINDOW - 1},
    ],
    ids=["from-the-first-day", "not-counted", "no-rises", "leavers-lost", "longer", "shorter"],
)
def test_a_fault_would_be_seen(spark: Any, known: list[Activity], fault: dict[str, Any]) -> None:
    assert counted(spark, known, **fault) != expected(known)


def test_without_a_limit_everyone_present_is_counted(spark: Any, known: list[Activity]) -> None:
    from dpdau.spark.presence import unlimited_totals  # noqa: PLC0415 - only where there is Java

    active = spark.createDataFrame(sorted(known[0]), "pseudonym bigint, day int")
    for window_days in (1, WINDOW):
        present = [
            len({user for user, day in known[0] if 0 <= FIRST + row - day < window_days})
            for row in range(3, 9)
        ]
        assert list(unlimited_totals(active, span(3, 8, None), window_days)) == present


def test_a_day_on_which_nobody_is_present_has_a_total(spark: Any) -> None:
    from dpdau.spark.presence import limited, totals, unlimited_totals  # noqa: PLC0415

    active = spark.createDataFrame([(1, FIRST)], "pseudonym bigint, day int")
    assert unlimited_totals(active, span(0, 4, None), 1) == (1, 0, 0, 0, 0)
    table = limited(active, None, span(0, 4), WINDOW)
    assert totals(table, span(0, 4)) == (1, 1, 1, 0, 0)
