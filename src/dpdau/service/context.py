"""What routes work with."""

import asyncio
from collections.abc import Callable
from typing import Annotated, TypeVar

import structlog
from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request

from dpdau.application import Application
from dpdau.logs import described
from dpdau.pipeline.writer import GroupCommitter
from dpdau.service.limits import Limits
from dpdau.service.metrics import ServiceMetrics
from dpdau.service.verification import LedgerVerifier

__all__ = ["Context", "ServiceContext"]

_T = TypeVar("_T")

_DECODING_THREADS = 4
_PURGE_WAIT_SECONDS = 2.0

_log = structlog.get_logger("dpdau.service")


class ServiceContext:
    """The parts of a running service.

    Attributes:
        application: the product.
        writer: groups the commits of concurrent requests.
        limits: what a request may be.
        metrics: what operators see.
        verifier: verifies the ledger.
    """

    def __init__(
        self,
        application: Application,
        writer: GroupCommitter[asyncio.Future[None]],
        limits: Limits,
        metrics: ServiceMetrics,
        verifier: LedgerVerifier,
    ) -> None:
        self.application = application
        self.writer = writer
        self.limits = limits
        self.metrics = metrics
        self.verifier = verifier
        # Threads of its own, so that slow releases never hold up ingestion.
        self._decoding = CapacityLimiter(_DECODING_THREADS)
        self._purges: set[asyncio.Task[None]] = set()

    async def decode(self, work: Callable[[], _T]) -> _T:
        """Run work on a large body away from the event loop."""
        return await to_thread.run_sync(work, limiter=self._decoding)

    async def purge(self) -> None:
        """Purge the pages of erasures, which grows with the store: waits for it a little only.

        It goes on behind the answer, and upkeep tries again what fails.
        """
        purge = asyncio.create_task(self._purge())
        self._purges.add(purge)
        purge.add_done_callback(self._purges.discard)
        await asyncio.wait({purge}, timeout=_PURGE_WAIT_SECONDS)

    async def finish(self) -> None:
        """Wait for what goes on behind answers."""
        await asyncio.gather(*self._purges)

    async def _purge(self) -> None:
        try:
            await to_thread.run_sync(self.application.eraser.finish)
        except Exception as error:  # noqa: BLE001 - the erasure itself is durable
            _log.error("purge failed", **described(error))


async def _context_of(request: Request) -> ServiceContext:
    context: ServiceContext = request.app.state.context
    return context


Context = Annotated[ServiceContext, Depends(_context_of)]
"""Declares a route's parameter that receives the running service."""
