"""From where a service without keys may be asked: by programs and its own pages, by no other page.

A browser lets every page send requests to this machine. Where a key is needed, a page that does
not have it gets nothing. Where none is, two things tell such a request: the site that sent it,
which browsers add and pages cannot change; and the name it was sent to, if an attacker's own name
was made to lead to this machine (DNS rebinding).
"""

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

from starlette.types import Scope

from dpdau.config import Settings
from dpdau.errors import CrossSiteError, HostRefusedError

__all__ = ["OriginGuard"]

_HOST = re.compile(rb"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_LOCAL_NAME = "localhost"
_OTHER_SITES = frozenset({b"cross-site", b"same-site"})
_PAGE = "/"


@dataclass(frozen=True, slots=True)
class OriginGuard:
    """Lets requests pass by the host they ask for and the site they come from.

    Attributes:
        names: the hosts beside those of this machine; None if any host goes.
        own_pages_only: whether pages of other sites are refused.
    """

    names: frozenset[str] | None
    own_pages_only: bool

    @classmethod
    def of(cls, settings: Settings, *, is_open: bool) -> "OriginGuard":
        """The guard for a service, which is open if no keys are set."""
        anything = not is_open and settings.allowed_hosts is None
        return cls(
            names=None if anything else frozenset(settings.allowed_hosts or ()),
            own_pages_only=is_open,
        )

    def require(self, scope: Scope) -> None:
        """Pass if the request may come from where it does.

        Raises:
            HostRefusedError: if it names another host, several, or none.
            CrossSiteError: if a page of another site sent it.
        """
        if self.names is None:
            return
        hosts = [value.lower() for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            raise HostRefusedError
        if self.own_pages_only and _is_cross_site(scope, hosts[0]):
            raise CrossSiteError

    def _is_own(self, host: bytes) -> bool:
        name = _name_in(host)
        return name is not None and (_is_loopback(name) or name in (self.names or ()))


def _is_cross_site(scope: Scope, host: bytes) -> bool:
    """Whether another site's page sent a request; a link to the dashboard is none."""
    if scope["method"] == "GET" and scope["path"] == _PAGE:
        return False
    for name, value in scope["headers"]:
        if name == b"sec-fetch-site" and value.lower() in _OTHER_SITES:
            return True
        # A page without an origin, such as one in a sandbox, says "null".
        if name == b"origin" and value.lower().partition(b"://")[2] != host:
            return True
    return False


@lru_cache(maxsize=256)
def _name_in(host: bytes) -> str | None:
    """The name or address in a Host header, without port; None if it is malformed."""
    found = _HOST.fullmatch(host)
    return found[1].decode().strip("[]") if found else None


@lru_cache(maxsize=256)
def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == _LOCAL_NAME
