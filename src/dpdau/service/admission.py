"""Which requests are begun: not too many at once or from one client, and from where they may."""

from dataclasses import dataclass, field

from starlette.types import Scope

from dpdau.config import Settings
from dpdau.errors import DpdauError, TooManyAtOnceError
from dpdau.service.auth import KeyRing, given_key
from dpdau.service.limits import RateLimiter
from dpdau.service.origins import OriginGuard

__all__ = ["REFUSAL", "Admission"]

REFUSAL = "dpdau.refusal"
"""The key under which an ASGI scope holds the error for which its connection was refused."""


@dataclass(slots=True)
class Admission:
    """Decides before anything of a request is looked up. Used on the event loop only.

    Attributes:
        keys: tell clients apart that share an address.
        origins: from where requests may come.
        rate: of each client.
        max_requests: how many requests may be in flight.
    """

    keys: KeyRing
    origins: OriginGuard
    rate: RateLimiter
    max_requests: int
    _in_flight: int = field(init=False, default=0)

    @classmethod
    def of(cls, settings: Settings, keys: KeyRing) -> "Admission":
        """As configured."""
        return cls(
            keys=keys,
            origins=OriginGuard.of(settings, is_open=not keys.grants),
            rate=RateLimiter(settings.rate_limit_per_minute),
            max_requests=settings.max_concurrent_requests,
        )

    def admit(self, scope: Scope) -> None:
        """Let a request begin; whoever is admitted must `release` once it has ended.

        Raises:
            TooManyAtOnceError: if too many are in flight, or its connection is one too many.
            HeadTooLargeError: if its head is too long.
            HostRefusedError: if it asks for another host.
            CrossSiteError: if a page of another site sent it.
            RateLimitedError: if its client sends too many.
        """
        refusal: DpdauError | None = scope.get(REFUSAL)
        if refusal is not None:
            raise refusal
        if self._in_flight >= self.max_requests:
            raise TooManyAtOnceError("requests", self.max_requests, "MAX_CONCURRENT_REQUESTS")
        self.origins.require(scope)
        self.rate.spend(self._client_of(scope))
        self._in_flight += 1

    def release(self) -> None:
        """Let another request have the place of one that was admitted."""
        self._in_flight -= 1

    def _client_of(self, scope: Scope) -> str:
        """Who asks: a known key, else an address. Made-up keys make no new clients."""
        if self.keys.grants:
            number = self.keys.number_of(given_key(scope["headers"]))
            if number is not None:
                return f"key {number}"
        return scope["client"][0] if scope["client"] else ""
