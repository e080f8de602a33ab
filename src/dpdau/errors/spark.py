"""Spark cannot do its part."""

from collections.abc import Mapping

from dpdau.errors.base import DpdauError
from dpdau.errors.input import InputError

__all__ = ["LimiterTableError", "RowsRefusedError", "SparkFailedError", "SparkUnavailableError"]


class SparkUnavailableError(DpdauError):
    """Spark is installed and cannot be started."""

    slug = "spark-unavailable"
    title = "Spark unavailable"
    exit_code = 2

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"Spark does not start: {reason}. It needs Java 17 or newer, on the PATH or in "
            "JAVA_HOME, and is best run by spark-submit on a cluster."
        )


class SparkFailedError(DpdauError):
    """A job of Spark failed; nothing came of it."""

    slug = "spark-failed"
    title = "Spark job failed"
    http_status = 502
    exit_code = 10

    def __init__(self, doing: str, reason: str) -> None:
        super().__init__(
            f"Spark failed while {doing}: {reason}. Nothing came of it; Spark's own log says more, "
            "and it can be run again."
        )


class RowsRefusedError(InputError):
    """Tables hold rows that are no events; nothing came of any of them.

    Attributes:
        refusals: how many rows there are of each kind of fault.
    """

    slug = "rows-refused"
    title = "Rows refused"

    def __init__(self, refusals: Mapping[str, int], allowed: int) -> None:
        self.refusals = dict(refusals)
        rows = sum(self.refusals.values())
        reasons = "; ".join(f"{count:,} {reason}" for reason, count in self.refusals.items())
        super().__init__(
            f"{rows:,} rows are no events ({reasons}), and --max-bad allows {allowed:,}, so nothing was done. "
            f"Correct them, or leave them out with --max-bad {rows}.",
            errors=[{"reason": reason, "rows": count} for reason, count in self.refusals.items()],
        )


class LimiterTableError(DpdauError):
    """The table of whom a running series has counted is missing or is not what was written."""

    slug = "limiter-table"
    title = "Limiter table lost"
    exit_code = 10

    def __init__(self, series_id: str, table: str, reason: str) -> None:
        super().__init__(
            f"The limiter table {table} of the series {series_id} {reason}. Without it nobody "
            "can tell who has used up their runs, so no more days of the series are published. Put "
            "the folder back from a copy, and set SPARK_DIR to where it lies; the next period's "
            "series does not need it."
        )
