"""What a second copy of the ledger's head remembers, and what a ledger lacks of it.

A hash chain shows that rows were changed, but not that the newest ones are gone. So the newest
row's sequence and hash are kept in a second place, with what is needed to charge what an older
copy of the store does not know of: per metric and period what was charged, per series how many
rows were measured. It holds nothing that the ledger does not.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import msgspec

from dpdau.errors import InvalidValueError
from dpdau.model.calendar import Period
from dpdau.model.ledger import GENESIS_HASH, LedgerKind, LedgerRow
from dpdau.model.releases import Metric, SeriesKey
from dpdau.privacy.charges import charge_from_dict

__all__ = ["NOTHING", "EndedSeries", "Head", "Loss", "following", "lost", "remembered_in"]


class EndedSeries(msgspec.Struct, frozen=True, order=True):
    """A series of which nothing more is published."""

    series_id: str
    period: str


class Charged(msgspec.Struct, frozen=True):
    """A charge and how often it was made."""

    charge: dict[str, Any]
    count: int


class RememberedBudget(msgspec.Struct, frozen=True):
    """What one metric and period was charged, and its newest row."""

    metric: Metric
    period: str
    sequence: int
    hash: str
    charges: tuple[Charged, ...]


class RememberedSeries(msgspec.Struct, frozen=True):
    """How far a series was measured; `ended` if its remaining rows never will be."""

    metric: Metric
    period: str
    plan_id: str
    rows: int
    ended: bool


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The newest row and what led to it.

    Attributes:
        version: of this form.
        sequence: the newest row's; 0 for an empty ledger.
        hash: the newest row's.
        budgets: per metric and period, in order.
        series: by id.
        closed_through: per metric, the last day of the periods of which nothing more is
            published.
    """

    version: Literal[1] = 1
    sequence: int
    hash: str
    budgets: tuple[RememberedBudget, ...] = ()
    series: dict[str, RememberedSeries] = {}
    closed_through: dict[Metric, date] = {}


NOTHING = Head(sequence=0, hash=GENESIS_HASH)
"""The head of an empty ledger."""


def remembered_in(content: bytes | None) -> Head | None:
    """The head that these bytes hold; None if there are none, or they cannot be understood.

    What it remembers may have to be charged, so charges that none could pay are not understood.
    """
    if content is None:
        return None
    try:
        head = msgspec.json.decode(content, type=Head)
        for budget in head.budgets:
            Period.named(budget.period)
            for each in budget.charges:
                charge_from_dict(each.charge)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidValueError):
        return None
    return head


def following(head: Head, rows: Iterable[LedgerRow]) -> Head:
    """The head after these rows, which continue the one given."""
    budgets = {(each.metric, each.period): each for each in head.budgets}
    series, closed = dict(head.series), dict(head.closed_through)
    for row in rows:
        budget = (row.metric, row.period)
        charges = _counted(budgets.get(budget))
        if row.charge is not None:
            charges[_canonical(row.charge)] += 1
        budgets[budget] = RememberedBudget(*budget, row.sequence, row.hash, _listed(charges))
        _follow_series(series, row)
        if row.kind is LedgerKind.ACKNOWLEDGEMENT:
            _follow_acknowledgement(series, closed, row)
        head = msgspec.structs.replace(head, sequence=row.sequence, hash=row.hash)
    return msgspec.structs.replace(
        head,
        budgets=tuple(budgets[key] for key in sorted(budgets)),
        series=series,
        closed_through=closed,
    )


@dataclass(frozen=True, slots=True)
class Loss:
    """What a ledger does not know of.

    Attributes:
        charges: metric, period and charge of each that is missing.
        series: per metric, the series that lost rows or may have been measured twice.
        closed_through: per metric, the last day of periods that had been closed.
    """

    charges: Sequence[tuple[Metric, str, dict[str, Any]]]
    series: dict[Metric, list[EndedSeries]]
    closed_through: dict[Metric, date]


def lost(remembered: Head, rows: Sequence[LedgerRow]) -> Loss:
    """What a ledger lacks of what its copy remembers.

    Where a metric and period's newest remembered row is in the ledger, nothing of it is lost,
    since the row's hash covers all rows before it. Otherwise the ledger ends before that row and
    lacks the difference, or, if it is as long, has gone another way: then nothing tells which
    charges are the same, and all that are remembered are taken as missing.
    """
    found = following(NOTHING, rows)
    hashes = {row.sequence: row.hash for row in rows}
    has_forked = found.sequence >= remembered.sequence
    known = {(each.metric, each.period): each for each in found.budgets}
    charges: list[tuple[Metric, str, dict[str, Any]]] = []
    gone: set[tuple[Metric, str]] = set()
    for each in remembered.budgets:
        if hashes.get(each.sequence) == each.hash:
            continue
        budget = (each.metric, each.period)
        gone.add(budget)
        missing = _counted(each) - _counted(None if has_forked else known.get(budget))
        charges += [(*budget, msgspec.json.decode(charge)) for charge in missing.elements()]
    ended: dict[Metric, list[EndedSeries]] = {metric: [] for metric in Metric}
    for series_id, series in remembered.series.items():
        same = series == found.series.get(series_id) and not has_forked
        if (series.metric, series.period) in gone and not same:
            ended[series.metric].append(EndedSeries(series_id, series.period))
    return Loss(charges, ended, remembered.closed_through)


def _follow_series(series: dict[str, RememberedSeries], row: LedgerRow) -> None:
    if row.kind is LedgerKind.SERIES:
        plan_id: str = row.body["plan_id"]
        series[row.subject] = RememberedSeries(row.metric, row.period, plan_id, 0, ended=False)
    elif row.kind is LedgerKind.RELEASE and row.body.get("plan_id") is not None:
        series_id = SeriesKey(row.metric, row.body["window_days"], row.period).series_id
        former = series[series_id]
        series[series_id] = msgspec.structs.replace(former, rows=former.rows + 1)


def _follow_acknowledgement(
    series: dict[str, RememberedSeries], closed: dict[Metric, date], row: LedgerRow
) -> None:
    for each in msgspec.convert(row.body["ended_series"], list[EndedSeries]):
        unknown = RememberedSeries(row.metric, each.period, "", 0, ended=True)
        former = series.get(each.series_id, unknown)
        series[each.series_id] = msgspec.structs.replace(former, ended=True)
    through = msgspec.convert(row.body["closed_through"], date | None)
    if through is not None:
        closed[row.metric] = max(through, closed.get(row.metric, through))


def _counted(budget: RememberedBudget | None) -> Counter[str]:
    charges = () if budget is None else budget.charges
    return Counter({_canonical(each.charge): each.count for each in charges})


def _listed(charges: Counter[str]) -> tuple[Charged, ...]:
    return tuple(
        Charged(msgspec.json.decode(charge), count) for charge, count in sorted(charges.items())
    )


def _canonical(charge: dict[str, Any]) -> str:
    return msgspec.json.encode(charge, order="sorted").decode()
