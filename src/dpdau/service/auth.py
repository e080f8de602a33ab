"""Who may ask: API keys and what they may do.

Keys are compared as SHA-256 digests, all of them every time, so that the time an answer takes
tells nothing about a key.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from dpdau.config import Settings
from dpdau.errors import ForbiddenError, UnauthorizedError

__all__ = ["GivenKey", "KeyRing", "Needs", "Scope", "given_key"]

_KEY_HEADER = APIKeyHeader(
    name="X-API-Key",
    scheme_name="ApiKey",
    auto_error=False,
    description="Not needed if the service was started without keys.",
)
_BEARER = HTTPBearer(
    scheme_name="Bearer", auto_error=False, description="The same key as a bearer token."
)


class Scope(StrEnum):
    """What a key allows."""

    INGEST = "ingest"
    READ = "read"
    ADMIN = "admin"


_EVERY_SCOPE = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The digests of the configured keys and their scopes; empty if the service is open.

    Attributes:
        grants: (SHA-256 of the key, its scopes).
    """

    grants: tuple[tuple[bytes, frozenset[Scope]], ...] = field(repr=False)

    @classmethod
    def of(cls, settings: Settings) -> "KeyRing":
        """The keys that are set."""
        keys: list[tuple[SecretStr | None, frozenset[Scope]]] = [
            (settings.service_api_key, _EVERY_SCOPE),
            (settings.ingest_api_key, frozenset({Scope.INGEST})),
            (settings.read_api_key, frozenset({Scope.READ})),
            (settings.admin_api_key, frozenset({Scope.ADMIN})),
        ]
        return cls(
            tuple(
                (_digest(key.get_secret_value()), scopes) for key, scopes in keys if key is not None
            )
        )

    def scopes_of(self, key: str | None) -> frozenset[Scope]:
        """What a key allows: everything if no keys are set.

        Raises:
            UnauthorizedError: if there is no key, or an unknown one.
        """
        if not self.grants:
            return _EVERY_SCOPE
        number = self.number_of(key)
        if number is None:
            raise UnauthorizedError
        return self.grants[number][1]

    def number_of(self, key: str | None) -> int | None:
        """Which of the keys it is; None if it is none of them."""
        digest = _digest(key or "")
        found = None
        for number, (known, _) in enumerate(self.grants):
            if hmac.compare_digest(digest, known) and found is None:
                found = number
        return found

    def require(self, key: str | None, scope: Scope) -> None:
        """Pass if the key has the scope, or if no keys are set.

        Raises:
            UnauthorizedError: if there is no key, or an unknown one.
            ForbiddenError: if the key is known and does not have the scope.
        """
        if scope not in self.scopes_of(key):
            raise ForbiddenError(scope)


def given_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The key that a request brings: in X-API-Key, else as a bearer token; None without one.

    Args:
        headers: of the request, names in lower case.
    """
    key = bearer = b""
    for name, value in headers:
        if name == b"x-api-key":
            key = key or value
        elif name == b"authorization" and not bearer:
            scheme, _, token = value.partition(b" ")
            bearer = token.strip() if scheme.lower() == b"bearer" else b""
    return (key or bearer).decode("latin-1") or None


async def _key_of(
    request: Request,
    _key: Annotated[str | None, Security(_KEY_HEADER)],
    _bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> str | None:
    """The key; the parameters tell OpenAPI where it may stand."""
    return given_key(request.scope["headers"])


GivenKey = Annotated[str | None, Depends(_key_of)]
"""Declares a route's parameter that receives the request's key, or None."""


@dataclass(frozen=True, slots=True)
class Needs:
    """A dependency that lets a request pass only if its key has a scope.

    Attributes:
        scope: the one needed.
    """

    scope: Scope

    async def __call__(self, request: Request, key: GivenKey) -> None:
        """Check the key of a request."""
        self._require(request, key)

    def check(self, request: Request) -> None:
        """Check the key of a request whose dependencies are not resolved by FastAPI."""
        self._require(request, given_key(request.scope["headers"]))

    def _require(self, request: Request, key: str | None) -> None:
        keys: KeyRing = request.app.state.keys
        keys.require(key, self.scope)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
