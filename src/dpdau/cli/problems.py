"""Errors as problem objects (RFC 9457), and problem objects as errors."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dpdau.errors import DpdauError

__all__ = ["error_classes", "error_of", "problem_of"]

_STANDARD_MEMBERS = frozenset({"type", "title", "status", "detail", "instance"})


def error_classes(root: type[DpdauError] = DpdauError) -> Iterator[type[DpdauError]]:
    """The error tree, every class before those below it."""
    yield root
    for child in root.__subclasses__():
        yield from error_classes(child)


def problem_of(error: DpdauError) -> dict[str, Any]:
    """The problem object that the service would answer with."""
    return {
        "type": error.slug,
        "title": error.title,
        "status": error.http_status,
        "detail": error.message,
        **error.details,
    }


def error_of(problem: Mapping[str, Any]) -> DpdauError:
    """The error that a problem object describes: same message, details and exit code."""
    slug = re.split(r"[/:#]", str(problem.get("type", "")))[-1]
    known = {kind.slug: kind for kind in error_classes()}
    kind = known.get(slug, DpdauError)
    details = {name: value for name, value in problem.items() if name not in _STANDARD_MEMBERS}
    # The message is there already, so the class must not build it again from values.
    error = kind.__new__(kind)
    message = problem.get("detail") or problem.get("title") or "The server failed."
    DpdauError.__init__(error, str(message), **details)
    return error
