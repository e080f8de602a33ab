"""Whether the ledger is whole and true: recomputed from the store alone.

`verify` reads what is stored and believes nothing of it: the chain of hashes, what each row
says (`pipeline.audit`), that no budget was overspent, and that the private state of running
series fits. It is for operators; the hashes alone are checked whenever something is released.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from dpdau.errors import LedgerDamagedError
from dpdau.model.ledger import LedgerKind, LedgerRow, verify_chain
from dpdau.pipeline.audit import Auditor
from dpdau.pipeline.budget import BudgetRules
from dpdau.pipeline.ports import Reader
from dpdau.privacy.accountant import compose
from dpdau.privacy.charges import charge_from_dict

__all__ = ["Verification", "verify"]

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found whole.

    Attributes:
        rows: how many rows the ledger has.
        kinds: how many of each kind.
        head: the newest row's hash; None if there is none.
        remarks: what is no fault but worth knowing, one sentence each.
    """

    rows: int
    kinds: Mapping[LedgerKind, int]
    head: str | None
    remarks: tuple[str, ...]


def verify(reader: Reader, rules: BudgetRules, first_kept: date) -> Verification:
    """Recompute everything that the ledger claims.

    Args:
        reader: the store.
        rules: caps and δ, for rows of versions that did not record their cap.
        first_kept: private state of periods that ended before this day may be gone.

    Raises:
        LedgerDamagedError: naming the first row that is wrong, and how.
    """
    rows = reader.ledger()
    verify_chain(rows)
    auditor = Auditor()
    for row in rows:
        auditor.check(row)
    for metric, period in sorted({(row.metric, row.period) for row in rows}):
        own = [row for row in rows if (row.metric, row.period) == (metric, period)]
        _check_budget(own, rules, rules.caps[metric])
    _check_state(reader, auditor, rows[-1].sequence if rows else 0, first_kept)
    return Verification(
        rows=len(rows),
        kinds={kind: sum(row.kind is kind for row in rows) for kind in LedgerKind},
        head=rows[-1].hash if rows else None,
        remarks=tuple(_remarks(rows)),
    )


def _check_budget(rows: Sequence[LedgerRow], rules: BudgetRules, configured: float) -> None:
    """No charge of one metric and period took its sum above the cap in force.

    Sums never fall when a charge is added, so where the last one is within the smallest cap,
    all are.
    """
    charged = [row for row in rows if row.charge is not None]
    deltas = [row.body.get("delta", 0.0) for row in charged]
    delta = max([rules.delta, *deltas])

    def spent(count: int) -> float:
        charges = [charge_from_dict(row.charge or {}) for row in charged[:count]]
        composed = compose(
            charges,
            delta=delta,
            advanced_delta=rules.advanced_delta,
            rdp_orders=rules.rdp_orders,
        )
        return composed.tight.epsilon

    # What was recharged after a rollback has been spent, whatever the cap.
    caps = [
        math.inf if row.kind is LedgerKind.RECHARGE else _cap_at(row, rows, configured)
        for row in charged
    ]
    if not charged or spent(len(charged)) <= min(caps) * (1 + _ROUNDING):
        return
    for count, (row, cap) in enumerate(zip(charged, caps, strict=True), start=1):
        if (sum_so_far := spent(count)) > cap * (1 + _ROUNDING):
            reason = f"with it, {row.metric} of {row.period} costs ε = {sum_so_far:.6g} of {cap:g}"
            raise LedgerDamagedError(row.sequence, reason)


def _cap_at(row: LedgerRow, rows: Sequence[LedgerRow], configured: float) -> float:
    """The cap in force at a row: what it states, or what was configured or raised before it."""
    stated: float | None = row.body.get("epsilon_cap")
    if stated is not None:
        return stated
    raised: list[float] = [
        each.body["epsilon_cap"]
        for each in rows
        if each.kind is LedgerKind.CAP and each.sequence < row.sequence
    ]
    return max([configured, *raised])


def _check_state(reader: Reader, auditor: Auditor, newest: int, first_kept: date) -> None:
    """Every running series has private state of as many days as it has rows, and no other has."""
    kept = {key.series_id: reader.series_state(key) for key in reader.series_keys()}
    for series_id, series in auditor.series.items():
        state, rows = kept.pop(series_id, None), len(series.values)
        is_over = auditor.is_over(series_id, series.key.metric, series.period)
        is_running = rows < series.plan.days and not is_over
        if state is None:
            if is_running and series.period.last >= first_kept:
                reason = f"series {series_id} has {rows} rows and its private state is gone"
                raise LedgerDamagedError(series.sequence, reason)
        elif len(state.totals) != rows or not is_running:
            reason = (
                f"series {series_id} has {rows} rows and private state of {len(state.totals)}: "
                "the store mixes two backups"
            )
            raise LedgerDamagedError(series.sequence, reason)
    for series_id in kept:
        reason = f"there is private state of series {series_id}, which was never opened"
        raise LedgerDamagedError(newest, reason)


def _remarks(rows: Sequence[LedgerRow]) -> Iterable[str]:
    """Clocks are set back now and then; nothing that is published depends on it."""
    for before, after in pairwise(rows):
        if after.recorded_at < before.recorded_at:
            yield (
                f"Row {after.sequence} is dated {before.recorded_at - after.recorded_at} before "
                f"row {before.sequence}: the clock was set back."
            )
