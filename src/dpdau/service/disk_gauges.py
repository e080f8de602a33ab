"""The disk of the store and the backups on it: looked up at each scrape."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import structlog
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dpdau.logs import described
from dpdau.store import BackupFolder

__all__ = ["DiskGauges"]

_log = structlog.get_logger("dpdau.service")


class DiskGauges(Collector):
    """Gauges that the file system is asked for; none while it does not answer."""

    def __init__(self, data_dir: Path, database: Path | None, backups: BackupFolder) -> None:
        """Look at these.

        Args:
            data_dir: DATA_DIR.
            database: the store's file in it; None if the store is in a database.
            backups: the folder of backups.
        """
        self._data_dir = data_dir
        self._database = database
        self._backups = backups

    def describe(self) -> Iterator[Metric]:
        """Nothing, so that registering looks at no file."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The gauges."""
        try:
            yield from [*self._space(), *self._kept()]
        except OSError as error:
            _log.error("gauges missing", **described(error))

    def _space(self) -> Iterator[Metric]:
        usage = shutil.disk_usage(self._data_dir)
        yield GaugeMetricFamily(
            "dp_disk_free_bytes", "What is free on the disk of DATA_DIR.", value=usage.free
        )
        yield GaugeMetricFamily(
            "dp_disk_size_bytes", "How large the disk of DATA_DIR is.", value=usage.total
        )
        if self._database is None:
            return
        files = self._data_dir.glob(f"{self._database.name}*")
        yield GaugeMetricFamily(
            "dp_store_bytes",
            "How large the store is, its write-ahead log included; absent if it is in a database.",
            value=sum(file.stat().st_size for file in files if file.is_file()),
        )

    def _kept(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "dp_backups", "Backups in DATA_DIR/backups.", value=len(self._backups.files())
        )
        newest = GaugeMetricFamily(
            "dp_backup_newest_timestamp_seconds",
            "When the newest of these was made, as its name says, in seconds since 1970; absent "
            "if there is none.",
        )
        made_at = self._backups.newest_made_at()
        if made_at is not None:
            newest.add_metric([], made_at.timestamp())
        yield newest
