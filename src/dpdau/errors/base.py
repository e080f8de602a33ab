"""The root of all errors."""

from typing import Any, ClassVar

__all__ = [
    "DpdauError",
]


class DpdauError(Exception):
    """The root of the tree.

    Attributes:
        slug: the last part of the problem's `type` (RFC 9457), stable across releases.
        title: the kind of problem in a few words, the same for every instance.
        http_status: the status that the service answers with.
        ends_connection: whether the service reads nothing more from who is told of it.
        exit_code: the code that the command line ends with.
        retry_after_seconds: when to try again, or None if trying again does not help.
        details: machine-readable values of this instance, added to the problem object.
    """

    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    ends_connection: ClassVar[bool] = False
    retry_after_seconds: int | None = None

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
