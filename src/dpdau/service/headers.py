"""One header of a request, without reading the others."""

from starlette.types import Scope

__all__ = ["header"]


def header(scope: Scope, name: bytes) -> str | None:
    """The first of a request's headers with that name, or None.

    Args:
        scope: of the request.
        name: in lower case.
    """
    for given, value in scope["headers"]:
        if given == name:
            found: str = value.decode("latin-1")
            return found
    return None
