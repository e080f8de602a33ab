"""Running the service: one process, until it is told to stop."""

import signal
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from dpdau.bootstrap import build
from dpdau.config import Settings
from dpdau.logs import configure_logs
from dpdau.service.app import create_app
from dpdau.service.connections import ConnectionLimits, GuardedConfig

__all__ = ["serve", "server_config"]

_DRAIN_SECONDS = 30
_KEEP_ALIVE_SECONDS = 30


def serve(settings: Settings) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP, then answer what has begun, write what waits, and return.

    Raises:
        StoreError: if the store cannot be opened, or was made with another secret.
        SystemExit: if the address cannot be bound, or after SIGTERM.
    """
    configure_logs(settings)
    with build(settings) as application:
        config = server_config(create_app(application, settings), settings)
        # uvicorn raises the signal again once it has drained; the default action would end the
        # process before the store is closed.
        signal.signal(signal.SIGTERM, _exit)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            # A terminal that is closed ends it as SIGTERM does; `nohup` lets it go on.
            signal.signal(signal.SIGHUP, _terminate)
        uvicorn.Server(config).run()


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How the app is served.

    Args:
        app: the service.
        settings: gives the address, the limits and whose forwarding headers are believed.
    """
    proxies = settings.trusted_proxies or ()
    return GuardedConfig(
        app,
        limits=ConnectionLimits.of(settings),
        refused=app.state.metrics.refused,
        host=settings.service_host,
        port=settings.service_port,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # uvicorn would believe whoever is on this machine, or in FORWARDED_ALLOW_IPS.
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGTERM)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)
