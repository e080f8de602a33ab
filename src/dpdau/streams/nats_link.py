"""The connection to NATS that several feeds share, and what went wrong with it in our words."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import nats.errors
import nats.js.errors
from faststream.nats import NatsBroker
from faststream.nats.security import NatsCredentials, NatsSecurity, NatsUserPassword
from nats.aio.client import Client

from dpdau.config import Settings
from dpdau.errors import BrokerRefusedError, BrokerSetupError, BrokerUnreachableError
from dpdau.streams.connections import Connection

__all__ = ["API_SECONDS", "NatsLink"]

API_SECONDS = 5.0
"""How long the server may take to answer."""

_CLOSE_SECONDS = 0.5


class _Client(Client):
    """The library's client, which would send a password in the clear to whoever asks for no TLS."""

    def _connect_command(self) -> bytes:
        if "tls" in self.options and not self._server_info.get("tls_required"):
            what = "The server asks for no TLS, so nothing was sent to it"
            raise BrokerSetupError(what, "Configure TLS there, or write nats:// if none is wanted")
        return super()._connect_command()


class _Broker(NatsBroker):
    """FastStream's broker with that client, and nothing left open when it cannot connect."""

    async def _connect(self) -> Client:
        client = _Client()
        try:
            await client.connect(**self._connection_kwargs)
        except BaseException:
            # After a handshake that failed this may wait for an end that never comes.
            with suppress(nats.errors.Error, OSError, TimeoutError):
                await asyncio.wait_for(client.close(), _CLOSE_SECONDS)
            raise
        self.config.connect(client)
        return client


class NatsLink:
    """The connection that several feeds share; made anew by whoever finds it broken."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        self._settings = settings
        self._connection = connection
        self._broker: NatsBroker | None = None
        self._client: Client | None = None
        self._making = asyncio.Lock()
        self._users = 0
        self._refusal: str | None = None
        self._heard: Exception | None = None

    def __str__(self) -> str:
        return str(self._connection)

    async def client(self) -> Client:
        """A client that is connected.

        Raises:
            BrokerUnreachableError: if no server answers.
            BrokerRefusedError: if the credentials are not accepted.
        """
        async with self._making:
            if self._client is None or not self._client.is_connected:
                await self._drop()
                self._refusal = self._heard = None
                self._broker = _Broker(
                    [f"nats://{server}" for server in self._connection.servers],
                    name="dpdau",
                    security=_security(self._settings, self._connection),
                    # Feeds are opened again after a loss, which connects anew.
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=int(API_SECONDS),
                    error_cb=self._note,
                    logger=None,
                )
                with self.translated():
                    self._client = await self._broker.connect()
            return self._client

    async def publish(
        self, body: bytes, subject: str, headers: dict[str, str], stream: str
    ) -> None:
        """Put a message into a stream; durable when this returns."""
        with self.translated():
            if self._broker is None:
                raise nats.errors.ConnectionClosedError
            await self._broker.publish(
                body, subject, headers=headers, stream=stream, timeout=API_SECONDS
            )

    def join(self) -> None:
        """Count another feed that uses the connection."""
        self._users += 1

    async def leave(self) -> None:
        """Close the connection once no feed uses it."""
        self._users -= 1
        if not self._users:
            async with self._making:
                await self._drop()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the client's errors into ours."""
        try:
            yield
        except (nats.errors.Error, OSError, TimeoutError, ValueError) as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> BrokerRefusedError | BrokerUnreachableError:
        # What the server refuses comes on a way of its own, and the request only times out.
        refusal = self._refusal
        if isinstance(error, nats.errors.AuthorizationError):
            refusal = "the credentials are not accepted"
        if refusal is not None:
            return BrokerRefusedError(str(self), refusal)
        if isinstance(error, nats.errors.NoServersError) and self._heard is not None:
            error = self._heard
        return BrokerUnreachableError(str(self), _in_words(error))

    async def _note(self, error: Exception) -> None:
        self._heard = error
        text = str(error).lower()
        if "authorization" in text or "authentication" in text:
            self._refusal = "the credentials are not accepted"
        elif "permissions violation" in text:
            self._refusal = text.removeprefix("nats: ")

    async def _drop(self) -> None:
        broker, self._broker, self._client = self._broker, None, None
        if broker is not None:
            with suppress(nats.errors.Error, OSError, TimeoutError):
                await broker.stop()


def _security(settings: Settings, connection: Connection) -> NatsSecurity:
    if settings.broker_credentials is not None:
        return NatsCredentials.from_file(
            str(settings.broker_credentials), ssl_context=connection.tls
        )
    if settings.broker_user is not None and settings.broker_password is not None:
        password = settings.broker_password.get_secret_value()
        return NatsUserPassword(settings.broker_user, password, ssl_context=connection.tls)
    return NatsSecurity(ssl_context=connection.tls)


def _in_words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, OSError):
        return error.strerror or "it cannot be reached"
    if isinstance(error, nats.js.errors.APIError) and error.description:
        return error.description
    return str(error).removeprefix("nats: ") or type(error).__name__
