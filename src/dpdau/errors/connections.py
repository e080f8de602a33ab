"""A request or a connection is not taken, whoever sends it and whatever it asks for."""

from dpdau.errors.base import DpdauError
from dpdau.errors.input import InputError

__all__ = [
    "CrossSiteError",
    "HeadTooLargeError",
    "HostRefusedError",
    "MalformedRequestError",
    "RequestTimeoutError",
    "TooManyAtOnceError",
]


class TooManyAtOnceError(DpdauError):
    """The service is busy with as many connections or requests as it takes."""

    slug = "too-many-at-once"
    title = "Too many at once"
    http_status = 503
    exit_code = 5
    ends_connection = True
    retry_after_seconds = 1

    def __init__(self, what: str, limit: int, setting: str) -> None:
        super().__init__(
            f"The service is busy with as many {what} as it takes at once ({limit:,}, {setting}), "
            "so this request was not begun. Try again in a second.",
            what=what,
            limit=limit,
        )


class RequestTimeoutError(DpdauError):
    """The client took too long to send its request."""

    slug = "request-timeout"
    title = "Request too slow"
    http_status = 408
    exit_code = 5
    ends_connection = True

    def __init__(self, what: str, seconds: float, setting: str) -> None:
        super().__init__(
            f"The {what} of the request did not arrive within {seconds:g} s ({setting}), so "
            "nothing was done. Send it faster, in smaller batches, or compressed.",
            what=what,
            limit_seconds=seconds,
        )


class HeadTooLargeError(InputError):
    """The address and the headers of a request are longer than the configured limit."""

    slug = "head-too-large"
    title = "Head too large"
    http_status = 431
    ends_connection = True

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"The address and the headers of the request take more than {limit:,} bytes "
            "(MAX_HEAD_BYTES). Send less in them; events belong in the body.",
            limit=limit,
        )


class MalformedRequestError(InputError):
    """What came is no HTTP request, or one that can be read in two ways."""

    slug = "malformed-request"
    title = "Malformed request"
    http_status = 400
    ends_connection = True

    def __init__(self) -> None:
        super().__init__(
            "What was sent is no HTTP/1.1 request, or one that can be read in two ways, so "
            "nothing was done and the connection ends."
        )


class HostRefusedError(DpdauError):
    """The request names a host that the service does not answer for."""

    slug = "host-refused"
    title = "Host refused"
    http_status = 421
    exit_code = 4

    def __init__(self) -> None:
        # The name is not repeated: it is the asker's own.
        super().__init__(
            "The Host header names no address of this service. Ask for localhost or 127.0.0.1, or "
            "add the name to ALLOWED_HOSTS."
        )


class CrossSiteError(DpdauError):
    """A page of another site sent the request, and no key guards the service."""

    slug = "cross-site"
    title = "Request from another site"
    http_status = 403
    exit_code = 4

    def __init__(self) -> None:
        super().__init__(
            "A web page of another site sent this request. Without keys the service answers its "
            "own pages and programs only; set SERVICE_API_KEY to let others ask with a key."
        )
