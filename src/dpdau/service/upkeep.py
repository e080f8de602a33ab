"""The background task: closes days, completes erasures, drops what is too old, and verifies."""

import asyncio
from contextlib import suppress
from time import perf_counter

import structlog
from anyio import to_thread

from dpdau.application import Application
from dpdau.logs import described
from dpdau.pipeline.upkeep import UpkeepReport
from dpdau.service.metrics import ServiceMetrics
from dpdau.service.verification import LedgerVerifier

__all__ = ["keep_up"]

_log = structlog.get_logger("dpdau.service")


async def keep_up(
    application: Application,
    metrics: ServiceMetrics,
    verifier: LedgerVerifier,
    every_seconds: float,
    stopping: asyncio.Event,
) -> None:
    """Do what is due now and again after every pause, until told to stop.

    A round that has begun is finished; one that fails is logged and tried again after the pause.
    """
    while not stopping.is_set():
        await to_thread.run_sync(_round, application, metrics)
        if not stopping.is_set():
            await to_thread.run_sync(verifier.run_if_due)
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), every_seconds)


def _round(application: Application, metrics: ServiceMetrics) -> None:
    started = perf_counter()
    try:
        report = application.upkeep.run()
    except Exception as error:  # noqa: BLE001 - the next round may succeed
        metrics.upkeep_failed()
        _log.error("upkeep failed", **described(error))
        return
    seconds = perf_counter() - started
    metrics.upkeep_succeeded(seconds)
    _log.debug("upkeep", seconds=round(seconds, 3))
    _tell(report)


def _tell(report: UpkeepReport) -> None:
    if report.published:
        _log.info("published", releases=len(report.published), days_due=report.due_days)
    for reason in report.refused:
        _log.warning("publication refused", reason=reason, days_due=report.due_days)
    if report.waiting_erasures:
        _log.warning("erasures waiting", erasures=report.waiting_erasures)
