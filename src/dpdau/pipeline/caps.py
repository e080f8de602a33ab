"""Raising caps: the one way to allow more, which leaves a row with who and why.

A cap is what the promise of a period states as ε. It only grows, and only through a row of the
ledger, so that whoever reads the ledger sees which ε was promised at each release.
"""

import math

from dpdau.errors import InvalidValueError
from dpdau.model.calendar import Calendar, Period
from dpdau.model.ledger import LedgerKind, LedgerRow
from dpdau.model.releases import Metric
from dpdau.pipeline.budget import Budget
from dpdau.pipeline.guard import LedgerGuard
from dpdau.pipeline.ledger import append_row

__all__ = ["CapRaiser", "signature"]

_MOST_CHARACTERS = 500


class CapRaiser:
    """Raises the cap of a metric for one period; nothing lowers or resets one."""

    def __init__(self, guard: LedgerGuard, calendar: Calendar, budget: Budget) -> None:
        self._guard = guard
        self._calendar = calendar
        self._budget = budget

    def raise_to(
        self, metric: Metric, period: Period, epsilon_cap: float, *, who: str, why: str
    ) -> LedgerRow:
        """Record a higher cap.

        Args:
            metric: whose budget.
            period: the accounting period.
            epsilon_cap: the new cap, ε, above the one in force.
            who: who decided.
            why: for what reason.

        Raises:
            InvalidValueError: if the cap would not rise, or nobody or no reason is named.
        """
        signed = signature(who, why)
        with self._guard.write() as transaction:
            former = self._budget.cap(transaction, metric, period.name)
            if not former < epsilon_cap < math.inf:
                expected = f"a number above the cap in force, {former:g}"
                raise InvalidValueError("to", epsilon_cap, expected)
            raises = transaction.ledger(metric=metric, period=period.name, kind=LedgerKind.CAP)
            return append_row(
                transaction,
                kind=LedgerKind.CAP,
                metric=metric,
                period=period.name,
                subject=f"{metric}-{period.name}-cap-{len(raises) + 1}",
                recorded_at=self._calendar.now(),
                charge=None,
                body={"epsilon_cap": epsilon_cap, "former_cap": former, **signed},
            )


def signature(who: str, why: str) -> dict[str, str]:
    """Who did something and why, as rows record it.

    Raises:
        InvalidValueError: if one of them is missing, or is no line of text.
    """
    signed = {"who": who.strip(), "why": why.strip()}
    for name, text in signed.items():
        if not (text.isprintable() and 1 <= len(text) <= _MOST_CHARACTERS):
            expected = f"one line of text, 1 to {_MOST_CHARACTERS} characters"
            raise InvalidValueError(name, text, expected)
    return signed
