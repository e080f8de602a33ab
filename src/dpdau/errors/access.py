"""Who may ask, how often, and whether anyone answers."""

from dpdau.errors.base import DpdauError

__all__ = [
    "ForbiddenError",
    "OutOfMemoryError",
    "OverloadedError",
    "RateLimitedError",
    "ServerUnreachableError",
    "UnauthorizedError",
]


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


class OutOfMemoryError(DpdauError):
    """The machine has no memory left for a request."""

    slug = "out-of-memory"
    title = "Out of memory"
    http_status = 503
    exit_code = 5
    retry_after_seconds = 5

    def __init__(self) -> None:
        super().__init__(
            "The service has too little memory for this request now, so it was not carried out. "
            "Try again, in smaller batches; its operator should allow it more memory or lower "
            "MAX_BODY_BYTES and MAX_BATCH_EVENTS."
        )


class ServerUnreachableError(DpdauError):
    """The command line could not reach the server it was pointed at."""

    slug = "server-unreachable"
    title = "Server unreachable"
    http_status = 502
    exit_code = 6

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"No answer from {url}: {reason}. Is `dpdau serve` running there?")
