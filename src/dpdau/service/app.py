"""The app: routes, what wraps them, and what runs while it runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from dpdau import __version__
from dpdau.application import Application
from dpdau.config import Settings
from dpdau.errors import StoreError
from dpdau.logs import described
from dpdau.pipeline.writer import GroupCommitter
from dpdau.service.admission import Admission
from dpdau.service.auth import KeyRing
from dpdau.service.context import ServiceContext
from dpdau.service.limits import Limits
from dpdau.service.metrics import ServiceMetrics
from dpdau.service.middleware import RequestMiddleware
from dpdau.service.openapi import describe
from dpdau.service.problems import add_problem_handlers
from dpdau.service.routes import ROUTERS
from dpdau.service.routes.events import DirectEvents
from dpdau.service.upkeep import keep_up
from dpdau.service.verification import LedgerVerifier
from dpdau.service.waiting import answer_on_their_loops

__all__ = ["create_app"]

_log = structlog.get_logger("dpdau.service")

_UPKEEP_SECONDS = 60.0
_DESCRIPTION = """
Events in, private counts out. Every value comes with its error, its interval and its price, and
all values of a metric for one period are together differentially private per user.

Errors are problem objects (RFC 9457) with a stable `type`.
"""


def create_app(
    application: Application, settings: Settings, *, upkeep_seconds: float = _UPKEEP_SECONDS
) -> FastAPI:
    """The HTTP service on a wired product, which stays the caller's to close.

    Args:
        application: the product.
        settings: gives the keys and the limits.
        upkeep_seconds: the pause between rounds of upkeep; the first is at the start.
    """
    limits = Limits.of(settings)
    verifier = LedgerVerifier(application)
    metrics = ServiceMetrics(application, settings, verifier)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        writer = GroupCommitter[asyncio.Future[None]](
            application.ingestor,
            max_waiting_events=limits.waiting_events,
            report=metrics.committed,
            answer=answer_on_their_loops,
        )
        metrics.watch(writer)
        context = ServiceContext(application, writer, limits, metrics, verifier)
        app.state.context = context
        await run_in_threadpool(_warm, application)
        stopping = asyncio.Event()
        upkeep = asyncio.create_task(
            keep_up(application, metrics, verifier, upkeep_seconds, stopping)
        )
        _log.info("started", version=__version__)
        try:
            yield
        finally:
            _log.info("stopping", waiting_events=writer.waiting_events)
            stopping.set()
            await upkeep
            await context.finish()
            await run_in_threadpool(writer.close)
            _log.info("stopped")

    app = FastAPI(
        title="dpdau",
        version=__version__,
        summary="Daily and monthly active users with differential privacy",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        # Spans would tell of paths and addresses; `GET /metrics` tells operators what they need.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.keys = keys = KeyRing.of(settings)
    app.state.metrics = metrics
    for router in ROUTERS:
        app.include_router(router)
    add_problem_handlers(app)
    describe(app)
    app.add_middleware(DirectEvents)
    app.add_middleware(RequestMiddleware, metrics=metrics, admission=Admission.of(settings, keys))
    return app


def _warm(application: Application) -> None:
    """Let the first requests find in memory what they need."""
    try:
        application.store.warm()
    except StoreError as error:
        # What of the store can be read is still served; `readyz` and the requests say the rest.
        _log.error("warming failed", **described(error))
