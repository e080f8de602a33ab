"""After a rollback: charging what the ledger lost, and ending what may not go on.

Formal guarantees:
    After an acknowledgement the ledger charges at least everything that the copy remembers, and
    no series of which a remembered row is missing is measured again: its plan's rows were, and
    stay, measured at most once each. If the copy itself is missing, nothing more is published
    about any period up to the running one, unless the operator states that nothing was lost.
"""

from dataclasses import dataclass
from datetime import date

import msgspec

from dpdau.errors import DayOutOfRangeError, InputError
from dpdau.model.calendar import Calendar, Period
from dpdau.model.ledger import LedgerKind, LedgerRow, verify_chain
from dpdau.model.releases import Metric
from dpdau.pipeline.caps import signature
from dpdau.pipeline.guard import LedgerGuard
from dpdau.pipeline.head import EndedSeries, Loss, lost
from dpdau.pipeline.ledger import append_row
from dpdau.pipeline.ports import Reader, Store, Transaction

__all__ = ["Acknowledgement", "Closures", "Recovery"]


class Acknowledgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the row of an acknowledgement says, one row a metric.

    Attributes:
        who: who acknowledged.
        why: how it came to be.
        remembered: the row that the copy named; None if the copy was missing.
        nothing_lost: whether the operator states that a missing copy knew nothing more.
        ended_series: the metric's series of which nothing more is published.
        closed_through: nothing more is published of periods that begin up to this day.
    """

    who: str
    why: str
    remembered: dict[str, int | str] | None
    nothing_lost: bool
    ended_series: list[EndedSeries]
    closed_through: date | None


@dataclass(frozen=True, slots=True)
class Closures:
    """What a metric's acknowledgements have closed.

    Attributes:
        series: the row that ended each series.
        periods: rows and the days that periods may not begin up to.
    """

    series: dict[str, int]
    periods: list[tuple[int, date]]

    @classmethod
    def of(cls, reader: Reader, metric: Metric) -> "Closures":
        """All closures of a metric."""
        series: dict[str, int] = {}
        periods: list[tuple[int, date]] = []
        for row in reader.ledger(metric=metric, kind=LedgerKind.ACKNOWLEDGEMENT):
            body = msgspec.convert(row.body, Acknowledgement)
            series.update({each.series_id: row.sequence for each in body.ended_series})
            if body.closed_through is not None:
                periods.append((row.sequence, body.closed_through))
        return cls(series, periods)

    def row_of(self, period: Period, series_id: str | None = None) -> int | None:
        """The row that closed a period, or a series in it; None if it is open."""
        rows = [sequence for sequence, through in self.periods if period.first <= through]
        if series_id is not None and series_id in self.series:
            rows.append(self.series[series_id])
        return min(rows, default=None)

    def require_open(self, day: date, period: Period, series_id: str | None = None) -> None:
        """Pass if a day may still be published.

        Raises:
            DayOutOfRangeError: naming the row that closed it.
        """
        sequence = self.row_of(period, series_id)
        if sequence is not None:
            raise DayOutOfRangeError(
                day,
                f"row {sequence} of the ledger acknowledges that rows were lost, and its period "
                f"{period.name} can go on only at the risk of measuring a day twice",
            )


class Recovery:
    """Lets releases go on after the store was rolled back, with nothing given back."""

    def __init__(self, store: Store, calendar: Calendar, guard: LedgerGuard) -> None:
        self._store = store
        self._calendar = calendar
        self._guard = guard

    def acknowledge(self, who: str, why: str, *, nothing_lost: bool = False) -> list[LedgerRow]:
        """Charge what was lost, end what may not go on, and move the copy to the ledger.

        Args:
            who: who acknowledges.
            why: how it came to be.
            nothing_lost: that a missing copy knew of nothing that the ledger does not have.

        Returns:
            The new rows.

        Raises:
            InputError: if there is nothing to acknowledge, or the copy contradicts
                `nothing_lost`.
            LedgerDamagedError: if the ledger does not even fit its own hashes.
        """
        signed = signature(who, why)
        with self._store.write() as transaction:
            rows = transaction.ledger()
            verify_chain(rows)
            if self._guard.fault(transaction) is None:
                raise InputError("The ledger has all that its copy remembers: nothing is lost.")
            remembered = self._guard.remembered()
            if remembered is None:
                running = self._calendar.period_of(self._calendar.today())
                closed = {} if nothing_lost else dict.fromkeys(Metric, running.last)
                loss = Loss([], {metric: [] for metric in Metric}, closed)
                place: dict[str, int | str] | None = None
            elif nothing_lost:
                raise InputError("The copy remembers rows that the ledger lost: charge them.")
            else:
                loss = lost(remembered, rows)
                place = {"sequence": remembered.sequence, "hash": remembered.hash}
            for metric in Metric:
                body = Acknowledgement(
                    **signed,
                    remembered=place,
                    nothing_lost=nothing_lost,
                    ended_series=sorted(loss.series[metric]),
                    closed_through=loss.closed_through.get(metric),
                )
                self._append(transaction, metric, body)
            self._recharge(transaction, loss)
            added = transaction.ledger(after=len(rows))
        self._guard.keep(anew=True)
        return added

    def _append(self, transaction: Transaction, metric: Metric, body: Acknowledgement) -> None:
        append_row(
            transaction,
            kind=LedgerKind.ACKNOWLEDGEMENT,
            metric=metric,
            period=self._calendar.period_of(self._calendar.today()).name,
            subject=f"{metric}-acknowledgement-{_next(transaction)}",
            recorded_at=self._calendar.now(),
            charge=None,
            body=msgspec.to_builtins(body),
        )
        closures = Closures.of(transaction, metric)
        for key in transaction.series_keys():
            period = Period.named(key.period)
            if key.metric is metric and closures.row_of(period, key.series_id) is not None:
                transaction.drop_series_state(key)

    def _recharge(self, transaction: Transaction, loss: Loss) -> None:
        for metric, period, charge in loss.charges:
            append_row(
                transaction,
                kind=LedgerKind.RECHARGE,
                metric=metric,
                period=period,
                subject=f"{metric}-{period}-recharge-{_next(transaction)}",
                recorded_at=self._calendar.now(),
                charge=charge,
                body={},
            )


def _next(transaction: Transaction) -> int:
    newest = transaction.ledger_head()
    return 1 if newest is None else newest.sequence + 1
