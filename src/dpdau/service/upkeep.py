"""The background task: closes days, completes erasures and drops what is too old."""

import asyncio
from contextlib import suppress

import structlog
from anyio import to_thread

from dpdau.application import Application
from dpdau.service.logs import described

__all__ = ["keep_up"]

_log = structlog.get_logger("dpdau.service")


async def keep_up(application: Application, every_seconds: float, stopping: asyncio.Event) -> None:
    """Do what is due now and again after every pause, until told to stop.

    A round that has begun is finished; one that fails is logged and tried again after the pause.
    """
    while not stopping.is_set():
        try:
            report = await to_thread.run_sync(application.upkeep.run)
        except Exception as error:  # noqa: BLE001 - the next round may succeed
            _log.error("upkeep failed", **described(error))
        else:
            if report.published or report.refused:
                _log.info("published", releases=len(report.published), refused=report.refused)
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), every_seconds)
