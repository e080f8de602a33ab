"""What cannot be published, and records that are missing or do not hold."""

import math
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from dpdau.errors.base import DpdauError
from dpdau.errors.input import InputError

__all__ = [
    "BudgetExhaustedError",
    "CalibrationError",
    "ClockLeaptError",
    "CountedElsewhereError",
    "DayOpenError",
    "DayOutOfRangeError",
    "ErasureNotFoundError",
    "ErasureUnfinishedError",
    "HastyRetentionError",
    "InvalidPlanError",
    "LedgerDamagedError",
    "LedgerRolledBackError",
    "ReleaseNotFoundError",
    "SeriesMovedError",
    "SeriesRunningError",
]


class DayOpenError(DpdauError):
    """The day asked for has not closed yet, so it has no value."""

    slug = "day-open"
    title = "Day still open"
    http_status = 409
    exit_code = 7

    def __init__(self, day: date, closes_at: str) -> None:
        self.day = day
        super().__init__(
            f"{day} is still open: it closes at {closes_at}. Ask again after that.",
            day=day.isoformat(),
            closes_at=closes_at,
        )


class DayOutOfRangeError(DpdauError):
    """The day asked for lies before what is retained, and was never released."""

    slug = "day-out-of-range"
    title = "Day out of range"
    http_status = 404
    exit_code = 7

    def __init__(self, day: date, reason: str) -> None:
        self.day = day
        super().__init__(f"{day} cannot be released: {reason}.", day=day.isoformat())


class CountedElsewhereError(DpdauError):
    """The store's values are counted from another place than the one that this is about."""

    slug = "counted-elsewhere"
    title = "Counted elsewhere"
    http_status = 409
    exit_code = 7

    def __init__(self, source: str, refusal: str) -> None:
        counted = {"store": "from its own activity", "spark": "by Spark, from tables elsewhere"}
        super().__init__(
            f"The values of this store are counted {counted[source]} (ACTIVITY_SOURCE), so {refusal}.",
            activity_source=source,
        )


class SeriesMovedError(DpdauError):
    """Another publisher recorded days of a series while this one counted them."""

    slug = "series-moved"
    title = "Series moved on"
    http_status = 409
    exit_code = 5

    def __init__(self, series_id: str) -> None:
        super().__init__(
            f"Another publisher has recorded days of the series {series_id} while this one "
            "counted, so nothing that it counted was published. Run it again: it goes on from "
            "where the series is now."
        )


class SeriesRunningError(DpdauError):
    """Who counts cannot change while a series runs."""

    slug = "series-running"
    title = "Series running"
    http_status = 409
    exit_code = 7

    def __init__(self, series_ids: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(sorted(series_ids))} runs, and only this store knows whom it has counted "
            "there. Nothing was changed; try again between the publication of the period's last day "
            "and the closing of the next one's first."
        )


class ClockLeaptError(DpdauError):
    """The clock of a running process leapt ahead, and nothing irrevocable follows it at once."""

    slug = "clock-leapt"
    title = "Clock leapt ahead"
    http_status = 503
    exit_code = 10

    def __init__(self, expected: datetime, found: datetime, doubted: timedelta) -> None:
        self.retry_after_seconds = math.ceil(doubted.total_seconds())
        super().__init__(
            f"The clock leapt from {expected:%Y-%m-%d %H:%M} to {found:%Y-%m-%d %H:%M} UTC while "
            "this ran. Published values stay readable, and nothing new is published until it is "
            f"set back or has stood for {math.ceil(doubted / timedelta(hours=1))} more hours. If "
            "it is right now, a restart says so."
        )


class HastyRetentionError(DpdauError):
    """Retention would drop very many days at once; it waits, for whoever wants to prevent it."""

    slug = "retention-waits"
    title = "Retention waits"
    http_status = 503
    exit_code = 10

    def __init__(self, first_kept: date, leap: timedelta, waits: timedelta) -> None:
        super().__init__(
            f"Everything before {first_kept} is past its retention, which is more than "
            f"{leap.days} days at once. So it is dropped only when this has run for "
            f"{math.ceil(waits / timedelta(hours=1))} more hours. If the clock or RETENTION_DAYS "
            "is wrong, put it right before; if both are right, nothing has to be done."
        )


class BudgetExhaustedError(DpdauError):
    """A release would cost more than what is left of the budget; nothing was spent."""

    slug = "budget-exhausted"
    title = "Privacy budget exhausted"
    http_status = 429
    exit_code = 8

    def __init__(
        self,
        metric: str,
        period: str,
        *,
        cap: float,
        spent: float,
        would_be: float,
        is_kept: bool = False,
    ) -> None:
        """Say what is left.

        Args:
            metric: whose budget.
            period: which period.
            cap: its largest ε.
            spent: what is gone of it.
            would_be: what would be gone.
            is_kept: whether some of that is not spent yet and kept for the period's series.
        """
        self.metric = metric
        self.period = period
        gone = "is spent, or kept for the period's own series," if is_kept else "is spent"
        super().__init__(
            f"The {metric} budget of {period} is ε = {cap:g}; ε = {spent:.4g} {gone} and this "
            f"release would make it {would_be:.4g}. Nothing was spent. Ask for days already "
            "released, wait for the next period, or let an administrator raise the cap.",
            metric=metric,
            period=period,
            epsilon_cap=cap,
            epsilon_spent=spent,
            epsilon_needed=would_be,
        )


class ReleaseNotFoundError(DpdauError):
    """No release has that id."""

    slug = "release-not-found"
    title = "Release not found"
    http_status = 404
    exit_code = 7

    def __init__(self, release_id: str) -> None:
        super().__init__(f"There is no release {release_id[:80]!r}.")


class ErasureNotFoundError(DpdauError):
    """No erasure has that id."""

    slug = "erasure-not-found"
    title = "Erasure not found"
    http_status = 404
    exit_code = 7

    def __init__(self, erasure_id: str) -> None:
        super().__init__(f"There is no erasure {erasure_id[:80]!r}.")


class ErasureUnfinishedError(DpdauError):
    """The erasure has no receipt, since it is not complete or nobody was erased."""

    slug = "erasure-unfinished"
    title = "Erasure not complete"
    http_status = 409
    exit_code = 7

    def __init__(self, erasure_id: str, refusal: str | None) -> None:
        why = (
            "it is not complete yet; ask again in a minute"
            if refusal is None
            else f"nobody was erased: {refusal}"
        )
        super().__init__(f"The erasure {erasure_id} has no receipt: {why.rstrip('.')}.")


class CalibrationError(InputError):
    """No noise scale satisfies the privacy parameters asked for."""

    slug = "calibration"
    title = "No such noise scale"


class InvalidPlanError(InputError):
    """A plan's certificate does not hold."""

    slug = "invalid-plan"
    title = "Invalid plan"
    exit_code = 9


class LedgerDamagedError(DpdauError):
    """The ledger's chain of hashes is broken; releases stop, ingestion goes on."""

    slug = "ledger-damaged"
    title = "Ledger damaged"
    http_status = 503
    exit_code = 9

    def __init__(self, sequence: int, reason: str) -> None:
        self.sequence = sequence
        super().__init__(
            f"The ledger is damaged at row {sequence}: {reason}. Nothing is released until it is "
            "restored from a backup.",
            sequence=sequence,
        )


class LedgerRolledBackError(LedgerDamagedError):
    """The ledger lacks what its second copy remembers, or that copy is gone; releases stop."""

    slug = "ledger-rolled-back"
    title = "Ledger rolled back"

    def __init__(self, found: tuple[int, str] | None, remembered: tuple[int, str] | None) -> None:
        self.sequence = 0 if found is None else found[0]
        ends = "is empty" if found is None else f"ends at row {found[0]} ({found[1][:16]}…)"
        reason = (
            "the copy of its head is missing or broken, so nothing tells whether rows were cut off"
            if remembered is None
            else f"the copy of its head remembers row {remembered[0]} ({remembered[1][:16]}…): an "
            "older copy of the store was put back, or rows were cut off"
        )
        DpdauError.__init__(
            self,
            f"The ledger {ends} and {reason}. Nothing is released until what is missing is put "
            "back, or an administrator acknowledges the loss.",
            sequence=self.sequence,
            remembered=None if remembered is None else remembered[0],
        )
