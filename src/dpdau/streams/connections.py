"""How the broker is reached: its address, and who this program is there."""

import ssl
from dataclasses import dataclass

from dpdau.config import Settings
from dpdau.errors import SettingsError

__all__ = ["Connection"]

_TLS = "+tls"


@dataclass(frozen=True, slots=True)
class Connection:
    """What both brokers need to be told.

    Attributes:
        kind: nats or kafka.
        servers: HOST:PORT each, at least one.
        tls: what to hold the broker's certificate against; None without TLS.
    """

    kind: str
    servers: tuple[str, ...]
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, settings: Settings) -> "Connection":
        """The configured connection.

        Raises:
            SettingsError: if no broker is named, or a file of credentials or certificates cannot be
            used.
        """
        if settings.broker_url is None:
            raise SettingsError(["BROKER_URL is not set; expected where the broker is"])
        file = settings.broker_credentials
        if file is not None and not file.is_file():
            raise SettingsError([f"BROKER_CREDENTIALS is '{file}'; expected a file that is there"])
        scheme, _, servers = settings.broker_url.partition("://")
        is_secure = scheme.endswith(_TLS)
        return cls(
            kind=scheme.removesuffix(_TLS),
            servers=tuple(servers.split(",")),
            tls=_context(settings) if is_secure else None,
        )

    def __str__(self) -> str:
        return f"{self.kind}://{','.join(self.servers)}"


def _context(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.broker_ca_file)
    except OSError as error:
        is_no_pem = isinstance(error, ssl.SSLError)
        reason = "it holds no certificates" if is_no_pem else error.strerror
        unfit = f"BROKER_CA_FILE is '{settings.broker_ca_file}'; {reason}"
        raise SettingsError([unfit]) from None
