"""What routes work with."""

from collections.abc import Callable
from typing import Annotated, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request

from dpdau.application import Application
from dpdau.pipeline.writer import GroupCommitter
from dpdau.service.limits import Limits
from dpdau.service.metrics import ServiceMetrics

__all__ = ["Context", "ServiceContext"]

_T = TypeVar("_T")

_DECODING_THREADS = 4


class ServiceContext:
    """The parts of a running service.

    Attributes:
        application: the product.
        writer: groups the commits of concurrent requests.
        limits: what a request may be.
        metrics: what operators see.
    """

    def __init__(
        self,
        application: Application,
        writer: GroupCommitter,
        limits: Limits,
        metrics: ServiceMetrics,
    ) -> None:
        self.application = application
        self.writer = writer
        self.limits = limits
        self.metrics = metrics
        # Threads of its own, so that slow releases never hold up ingestion.
        self._decoding = CapacityLimiter(_DECODING_THREADS)

    async def decode(self, work: Callable[[], _T]) -> _T:
        """Run work on a large body away from the event loop."""
        return await to_thread.run_sync(work, limiter=self._decoding)


async def _context_of(request: Request) -> ServiceContext:
    context: ServiceContext = request.app.state.context
    return context


Context = Annotated[ServiceContext, Depends(_context_of)]
"""Declares a route's parameter that receives the running service."""
