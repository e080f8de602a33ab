"""Who may ask: API keys and what they may do.

Keys are compared as SHA-256 digests, all of them every time, so that the time an answer takes
tells nothing about a key.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from dpdau.config import Settings
from dpdau.errors import ForbiddenError, UnauthorizedError

__all__ = ["GivenKey", "KeyRing", "Needs", "Scope"]

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
            (settings.service_api_key, frozenset(Scope)),
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
            return frozenset(Scope)
        digest = _digest(key or "")
        granted: frozenset[Scope] = frozenset()
        for known, scopes in self.grants:
            if hmac.compare_digest(digest, known):
                granted |= scopes
        if not granted:
            raise UnauthorizedError
        return granted

    def require(self, key: str | None, scope: Scope) -> None:
        """Pass if the key has the scope, or if no keys are set.

        Raises:
            UnauthorizedError: if there is no key, or an unknown one.
            ForbiddenError: if the key is known and does not have the scope.
        """
        if scope not in self.scopes_of(key):
            raise ForbiddenError(scope)


async def _key_of(
    key: Annotated[str | None, Security(_KEY_HEADER)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
) -> str | None:
    return key or (bearer.credentials if bearer else None)


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
        keys: KeyRing = request.app.state.keys
        keys.require(key, self.scope)

    async def check(self, request: Request) -> None:
        """Check the key of a request whose dependencies are not resolved by FastAPI."""
        await self(request, await _key_of(await _KEY_HEADER(request), await _BEARER(request)))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
