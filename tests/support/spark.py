"""Spark on this machine, for tests: one small session a process."""

import os
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["CONFIGURATION", "java_or_skip", "local_spark", "run_until_killed"]

CONFIGURATION = {
    "spark.master": "local[2]",
    "spark.driver.memory": "768m",
    # What takes long here is to compile, twice, what runs for milliseconds.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.streaming.pollingDelay": "10ms",
    "spark.eventLog.enabled": "true",
    "spark.eventLog.compress": "false",
}

_WITH_SPARK = f"""
import os, signal, sys
from datetime import UTC, date, datetime
from pathlib import Path
from pyspark.sql import SparkSession
builder = SparkSession.builder
for name, value in {CONFIGURATION | {"spark.eventLog.enabled": "false"}!r}.items():
    builder = builder.config(name, value)
builder.getOrCreate()
from dpdau.config import load_settings
"""


def java_or_skip() -> None:
    """Skip a test where there is no Java, but fail in CI."""
    if shutil.which("java") is None:
        message = "No Java: install the package default-jre-headless."
        if os.environ.get("CI"):  # noqa: TID251 - no setting of the product
            pytest.fail(message)
        pytest.skip(message)


@contextmanager
def local_spark(folder: Path) -> Iterator[Path]:
    """Run Spark in this process until the context ends; gives the folder of its event log."""
    from pyspark.sql import SparkSession  # noqa: PLC0415 - only where there is Java

    events = folder / "events"
    events.mkdir()
    builder = SparkSession.builder
    for name, value in CONFIGURATION.items():
        builder = builder.config(name, value)
    builder = builder.config("spark.eventLog.dir", events.as_uri())
    builder = builder.config("spark.sql.warehouse.dir", str(folder / "warehouse"))
    builder = builder.config("spark.local.dir", str(folder / "local"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("OFF")
    try:
        yield events
    finally:
        spark.stop()


def run_until_killed(code: str, *arguments: Path) -> None:
    """Run a program in a process with a Spark of its own, in which it kills itself."""
    killed = subprocess.run(  # noqa: S603 - this interpreter on a test's own text
        [sys.executable, "-c", _WITH_SPARK + code, *map(str, arguments)],
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
