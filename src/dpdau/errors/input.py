"""What the caller sent cannot be used."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dpdau.errors.base import DpdauError

__all__ = [
    "BatchTooLargeError",
    "EventsRefusedError",
    "FileUnreadableError",
    "IncompatibleSketchError",
    "InputError",
    "InvalidValueError",
    "MalformedBodyError",
    "RequestKeyReusedError",
    "RouteNotFoundError",
    "UnknownMetricError",
    "UnsupportedMediaTypeError",
]


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

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = path
        super().__init__(f"Cannot read {path}: {reason}.", path=str(path))


class RequestKeyReusedError(InputError):
    """An idempotency key came again with other people than before; nobody was erased."""

    slug = "request-key-reused"
    title = "Idempotency key reused"

    def __init__(self) -> None:
        # Neither the key nor the people are repeated: either may hold an identity.
        super().__init__(
            "This idempotency key was used before to erase other people, so nobody was erased "
            "now. Send the request under a key of its own."
        )


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


class IncompatibleSketchError(InputError):
    """Two sketches, or a sketch and its bytes, do not fit each other."""

    slug = "incompatible-sketch"
    title = "Incompatible sketch"
