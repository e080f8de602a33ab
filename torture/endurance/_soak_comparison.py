"""A store after a soak, compared with the crowd that was sent, and its published values with truth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from _crowd import HISTORY_DAYS, Crowd, Limiter, user_id
from _verdicts import Verdict, no_drift, noise_of_scale
from dpdau.hashing import Pseudonymizer
from dpdau.model.bitmaps import indices_of
from dpdau.model.calendar import Period, PeriodKind
from dpdau.model.ledger import LedgerKind
from dpdau.model.releases import Metric, SeriesKey
from dpdau.pipeline.ports import Reader
from dpdau.privacy.strategy import Plan
from dpdau.store.sqlite.inspection import inspecting

__all__ = ["MAU_RUNS", "RETENTION_DAYS", "WINDOW_DAYS", "Published", "comparisons"]

WINDOW_DAYS = 30
RETENTION_DAYS = 61
MAU_RUNS = 2
_MOST_STANDARD_ERRORS = 6
_WINDOWS = {Metric.DAU: 1, Metric.MAU: WINDOW_DAYS}


@dataclass
class Published:
    """The true totals of each row of the series, as they were when it was measured.

    Attributes:
        crowd: who is counted.
        totals: by metric and period, in day order.
    """

    crowd: Crowd
    totals: dict[tuple[Metric, str], list[int]] = field(default_factory=dict)
    _limiters: dict[str, Limiter] = field(default_factory=dict)

    def through(self, day: int) -> None:
        """Note the truth of all rows up to a day that are new; call it when they are measured."""
        period = Period.containing(self.crowd.day(day), PeriodKind.MONTH)
        limiter = self._limiters.setdefault(period.name, Limiter(MAU_RUNS, self.crowd.users))
        daily = self.totals.setdefault((Metric.DAU, period.name), [])
        monthly = self.totals.setdefault((Metric.MAU, period.name), [])
        first = (period.first - self.crowd.first).days
        for number in range(first + len(daily), day + 1):
            daily.append(int(self.crowd.active[number].sum()))
            monthly.append(limiter.advance(self.crowd.window(number, WINDOW_DAYS)))

    @property
    def rows(self) -> int:
        """How many rows there are in all."""
        return sum(map(len, self.totals.values()))


def comparisons(database: Path, secret: str, published: Published, today: int) -> list[Verdict]:
    """Everything in a store that nobody else has open, compared.

    Args:
        database: the file.
        secret: of the pseudonyms.
        published: what was published of whom.
        today: the number of the current day.
    """
    crowd = published.crowd
    with inspecting(database, 30.0) as store:
        reader = store.reader
        pseudonyms = Pseudonymizer(secret).pseudonyms(list(map(user_id, range(crowd.users))))
        indices = reader.user_indices(pseudonyms)
        kept = range(today - RETENTION_DAYS, today + 1)
        wrong = {
            str(crowd.day(day)): _wrong(reader, crowd, indices, day) for day in kept if day >= 0
        }
        first_kept = crowd.day(kept[0]).toordinal()
        dropped = len(reader.members(1, first_kept - 1))
        return [
            no_drift("days of each person", wrong, len(wrong) * crowd.users),
            no_drift("people past the retention", {"remain": dropped}, HISTORY_DAYS + crowd.days),
            _totals(reader, published),
            noise_of_scale("noise of the measurements", _noise(reader, published)),
            _values(reader, published),
        ]


def _wrong(reader: Reader, crowd: Crowd, indices: NDArray[np.int64], day: int) -> int:
    """How many people are counted on a day and must not be, or are not and must."""
    ordinal = crowd.day(day).toordinal()
    stored = indices_of(reader.members(ordinal, ordinal)).astype(np.int64)
    expected = np.sort(indices[crowd.active[day]])
    if len(expected) and expected[0] < 0:
        unknown = int((expected < 0).sum())
        return unknown + len(np.setxor1d(stored, expected[expected >= 0]))
    return len(np.setxor1d(stored, expected))


def _totals(reader: Reader, published: Published) -> Verdict:
    """The true totals that running series keep; those of complete ones are gone."""
    wrong: dict[str, int] = {}
    compared = 0
    for (metric, period), expected in published.totals.items():
        key = SeriesKey(metric, _WINDOWS[metric], period)
        state = reader.series_state(key)
        is_over = len(expected) == Period.named(period).days
        kept: Sequence[int] = () if state is None else state.totals
        compared += len(kept) + is_over
        wrong[key.series_id] = (
            len(kept)
            if is_over
            else sum(one != other for one, other in zip(kept, expected, strict=False))
            + abs(len(kept) - len(expected))
        )
    return no_drift("totals that the series measured", wrong, compared)


def _noise(reader: Reader, published: Published) -> list[float]:
    """The noise of every measurement, by its σ; independent and standard normal if all is well."""
    found: list[float] = []
    for (metric, period), expected in published.totals.items():
        plan = _plan(reader, metric, period)
        measured = _measured(reader, metric, period, "measurement")
        totals = np.array(expected, dtype=object)
        for row, day in enumerate(sorted(measured)):
            weights = np.array(plan.strategy[row][: row + 1], dtype=object)
            true = sum(weights * totals[: row + 1])
            found.append(float((int(measured[day]) - int(true)) / plan.sigma))
    return found


def _values(reader: Reader, published: Published) -> Verdict:
    """Whether each value lies near its truth: beyond six standard errors 2·10⁻⁹ of them do."""
    far: dict[str, int] = {}
    rows = 0
    for (metric, period), expected in published.totals.items():
        value = _measured(reader, metric, period, "estimate_raw")
        error = _measured(reader, metric, period, "std_error")
        for day, true in zip(sorted(value), expected, strict=True):
            rows += 1
            far[f"{metric} {day}"] = int(
                abs(value[day] - true) > _MOST_STANDARD_ERRORS * error[day]
            )
    return no_drift("values within six standard errors of the truth", far, rows)


def _plan(reader: Reader, metric: Metric, period: str) -> Plan:
    (row,) = reader.ledger(metric=metric, period=period, kind=LedgerKind.SERIES)
    return Plan.from_dict(row.body)


def _measured(reader: Reader, metric: Metric, period: str, name: str) -> Mapping[date, float]:
    """A field of each value of a series, by day."""
    rows = reader.ledger(metric=metric, period=period, kind=LedgerKind.RELEASE)
    return {
        date.fromisoformat(row.body["day"]): row.body[name]
        for row in rows
        if row.body["plan_id"] is not None
    }
