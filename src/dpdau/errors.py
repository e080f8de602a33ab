"""Every error that dpdau raises on purpose, in one tree.

Each class carries what went wrong as attributes, an HTTP status, a process exit code and a
message that says what happened, with which value, and what to do. No message ever holds a user
id, a true count or anything else that depends on the activity data.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

__all__ = [
    "BatchTooLargeError",
    "BudgetExhaustedError",
    "CalibrationError",
    "DayOpenError",
    "DayOutOfRangeError",
    "DpdauError",
    "ErasureNotFoundError",
    "EventsRefusedError",
    "FileUnreadableError",
    "ForbiddenError",
    "IncompatibleSketchError",
    "InputError",
    "InvalidPlanError",
    "InvalidValueError",
    "LedgerDamagedError",
    "MalformedBodyError",
    "OverloadedError",
    "PlanMissingError",
    "RateLimitedError",
    "ReleaseNotFoundError",
    "RouteNotFoundError",
    "ServerUnreachableError",
    "SettingsError",
    "StoreBusyError",
    "StoreCorruptError",
    "StoreError",
    "StoreFullError",
    "StoreReadOnlyError",
    "StoreVersionError",
    "UnauthorizedError",
    "UnknownMetricError",
    "UnsupportedMediaTypeError",
    "WrongSecretError",
]


class DpdauError(Exception):
    """The root of the tree.

    Attributes:
        slug: the last part of the problem's `type` (RFC 9457), stable across releases.
        title: the kind of problem in a few words, the same for every instance.
        http_status: the status that the service answers with.
        exit_code: the code that the command line ends with.
        retry_after_seconds: when to try again, or None if trying again does not help.
        details: machine-readable values of this instance, added to the problem object.
    """

    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    retry_after_seconds: int | None = None

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class SettingsError(DpdauError):
    """A setting has a value that the product cannot start with."""

    slug = "invalid-setting"
    title = "Invalid setting"
    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems), problems=list(self.problems))


# --- bad input -----------------------------------------------------------------------------


class InputError(DpdauError):
    """The caller sent something that cannot be used; nothing was stored."""

    slug = "invalid-input"
    title = "Invalid input"
    http_status = 422
    exit_code = 3


class InvalidValueError(InputError):
    """One parameter has a value outside what it may be."""

    slug = "invalid-value"
    title = "Invalid value"

    def __init__(self, parameter: str, value: Any, expected: str) -> None:
        self.parameter = parameter
        self.value = value
        shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."  # noqa: PLR2004
        super().__init__(
            f"{parameter} is {shown}; expected {expected}.", parameter=parameter, expected=expected
        )


class MalformedBodyError(InputError):
    """A body or file is not in the format it claims."""

    slug = "malformed-body"
    title = "Malformed body"
    http_status = 400

    def __init__(self, expected_format: str, reason: str) -> None:
        self.expected_format = expected_format
        self.reason = reason
        super().__init__(
            f"The body is not valid {expected_format}: {reason}. Nothing was stored.",
            expected_format=expected_format,
        )


class UnsupportedMediaTypeError(InputError):
    """The content type or encoding is none that is understood."""

    slug = "unsupported-media-type"
    title = "Unsupported media type"
    http_status = 415

    def __init__(self, header: str, value: str, supported: Sequence[str]) -> None:
        super().__init__(
            f"{header} is {value!r}; supported are {', '.join(supported)}.",
            header=header,
            supported=list(supported),
        )


class BatchTooLargeError(InputError):
    """A request is larger than the configured limit."""

    slug = "batch-too-large"
    title = "Batch too large"
    http_status = 413

    def __init__(self, what: str, size: int | None, limit: int, setting: str) -> None:
        self.limit = limit
        had = f"{size:,}" if size is not None else f"more than {limit:,}"
        super().__init__(
            f"The request has {had} {what}; the limit is {limit:,} ({setting}). "
            "Send smaller batches. Nothing was stored.",
            what=what,
            limit=limit,
        )


class EventsRefusedError(InputError):
    """A batch holds bad events and was refused whole.

    Attributes:
        refusals: (index in the batch, reason) of every bad event.
    """

    slug = "events-refused"
    title = "Events refused"

    def __init__(self, refusals: Sequence[tuple[int, str]], batch_size: int) -> None:
        self.refusals = tuple(refusals)
        first = "; ".join(f"event {i}: {reason}" for i, reason in self.refusals[:3])
        more = "" if len(self.refusals) <= 3 else f" (and {len(self.refusals) - 3:,} more)"  # noqa: PLR2004
        super().__init__(
            f"{len(self.refusals):,} of {batch_size:,} events are invalid, so none was stored: "
            f"{first}{more}. Correct them, or send with partial=true to keep the others.",
            errors=[{"index": i, "reason": reason} for i, reason in self.refusals],
        )


class FileUnreadableError(InputError):
    """An input file cannot be opened or is in no known format."""

    slug = "file-unreadable"
    title = "File unreadable"

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        super().__init__(f"Cannot read {path}: {reason}.", path=str(path))


class UnknownMetricError(InputError):
    """A metric other than dau or mau was asked for."""

    slug = "unknown-metric"
    title = "Unknown metric"
    http_status = 404

    def __init__(self, metric: str) -> None:
        super().__init__(f"There is no metric {metric[:40]!r}; known are dau and mau.")


class RouteNotFoundError(InputError):
    """No route answers that path."""

    slug = "not-found"
    title = "Not found"
    http_status = 404


# --- who may ask ---------------------------------------------------------------------------


class UnauthorizedError(DpdauError):
    """No key, or an unknown one."""

    slug = "unauthorized"
    title = "Key missing or unknown"
    http_status = 401
    exit_code = 4

    def __init__(self) -> None:
        super().__init__(
            "This route needs an API key: send it as X-API-Key or as Authorization: Bearer."
        )


class ForbiddenError(DpdauError):
    """A known key without the scope that the route needs."""

    slug = "forbidden"
    title = "Scope missing"
    http_status = 403
    exit_code = 4

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"The key that was sent does not have the {scope} scope. Use a key that has it.",
            scope=scope,
        )


class RateLimitedError(DpdauError):
    """One client sends more requests than the configured rate."""

    slug = "rate-limited"
    title = "Too many requests"
    http_status = 429
    exit_code = 5

    def __init__(self, limit_per_minute: int, retry_after_seconds: int) -> None:
        self.retry_after_seconds = retry_after_seconds
        super().__init__(
            f"More than {limit_per_minute:,} requests in a minute; "
            f"try again in {retry_after_seconds} s.",
            limit_per_minute=limit_per_minute,
        )


class OverloadedError(DpdauError):
    """The writer is behind; the request was not accepted."""

    slug = "overloaded"
    title = "Overloaded"
    http_status = 503
    exit_code = 5
    retry_after_seconds = 1

    def __init__(self) -> None:
        # How many events wait is told to operators only: it depends on others' activity.
        super().__init__(
            "Too many events wait to be written, so this batch was not accepted. "
            "Try again in a second."
        )


class ServerUnreachableError(DpdauError):
    """The command line could not reach the server it was pointed at."""

    slug = "server-unreachable"
    title = "Server unreachable"
    http_status = 502
    exit_code = 6

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"No answer from {url}: {reason}. Is `dpdau serve` running there?")


# --- releases ------------------------------------------------------------------------------


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


class BudgetExhaustedError(DpdauError):
    """A release would cost more than what is left of the budget; nothing was spent."""

    slug = "budget-exhausted"
    title = "Privacy budget exhausted"
    http_status = 429
    exit_code = 8

    def __init__(
        self, metric: str, period: str, *, cap: float, spent: float, would_be: float
    ) -> None:
        self.metric = metric
        self.period = period
        super().__init__(
            f"The {metric} budget of {period} is ε = {cap:g}; ε = {spent:.4g} is spent and this "
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


class CalibrationError(InputError):
    """No noise scale satisfies the privacy parameters asked for."""

    slug = "calibration"
    title = "No such noise scale"


class InvalidPlanError(InputError):
    """A plan's certificate does not hold."""

    slug = "invalid-plan"
    title = "Invalid plan"
    exit_code = 9


class PlanMissingError(DpdauError):
    """The period asked for has no plan yet."""

    slug = "plan-missing"
    title = "No plan"
    http_status = 404
    exit_code = 7

    def __init__(self, metric: str, period: str) -> None:
        super().__init__(
            f"The {metric} series has no plan for {period}: "
            "it is made when the period's first day closes."
        )


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


class IncompatibleSketchError(InputError):
    """Two sketches, or a sketch and its bytes, do not fit each other."""

    slug = "incompatible-sketch"
    title = "Incompatible sketch"


# --- the store -----------------------------------------------------------------------------


class StoreError(DpdauError):
    """The store could not do what was asked; what was acknowledged before is safe."""

    slug = "store-unavailable"
    title = "Store unavailable"
    http_status = 503
    exit_code = 10


class StoreBusyError(StoreError):
    """Another process holds the store's write lock for too long."""

    slug = "store-busy"
    title = "Store busy"
    retry_after_seconds = 2

    def __init__(self, waited_seconds: float) -> None:
        super().__init__(
            f"The store was locked by another process for {waited_seconds:g} s. "
            "Nothing was changed; try again, or find the process that holds the lock."
        )


class StoreFullError(StoreError):
    """The disk has no room."""

    slug = "store-full"
    title = "Disk full"
    http_status = 507

    def __init__(self) -> None:
        super().__init__("The disk that holds DATA_DIR is full. Nothing was changed; free space.")


class StoreReadOnlyError(StoreError):
    """The store cannot be written."""

    slug = "store-read-only"
    title = "Store read-only"

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} cannot be written. Nothing was changed; check the permissions of DATA_DIR."
        )


class StoreCorruptError(StoreError):
    """The store's file is damaged, truncated, or no store at all."""

    slug = "store-corrupt"
    title = "Store corrupt"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is damaged or is not a dpdau store: {reason}. Restore a backup.")


class StoreVersionError(StoreError):
    """The store was written by a newer version."""

    slug = "store-version"
    title = "Store too new"

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"{path} has schema version {found}, this program knows up to {known}. "
            "Start the newer version of dpdau that wrote it."
        )


class WrongSecretError(StoreError):
    """The secret is not the one that the store was made with."""

    slug = "wrong-secret"
    title = "Wrong secret"
    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "HASH_SALT_SECRET is not the secret that this store was made with. Counting with "
            "another one would count every person twice: set the former secret again."
        )
