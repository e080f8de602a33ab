"""The session in which everything here runs."""

import sys

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from dpdau.errors import SparkUnavailableError

__all__ = ["open_session"]

# What a cluster's defaults may say otherwise, and results must not depend on.
_CONFIGURATION = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    # A file that is skipped in silence is events that are lost.
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
}


def open_session() -> SparkSession:
    """A session of this process's Spark, which is started on this machine if there is none.

    Its configuration is its own; catalogs and global views are those of the running application.

    Raises:
        SparkUnavailableError: if it cannot be started.
    """
    try:
        builder = SparkSession.builder.appName("dpdau")
        # Its bars would be drawn over what the command shows.
        builder = builder.config("spark.ui.showConsoleProgress", "false")
        spark = builder.getOrCreate().newSession()
    except (PySparkException, OSError) as error:
        raise SparkUnavailableError(type(error).__name__) from error
    for name, value in _CONFIGURATION.items():
        spark.conf.set(name, value)
    context = spark.sparkContext
    if str(context.master).startswith("local"):
        # Workers on this machine need the libraries of this interpreter.
        context.pythonExec = sys.executable
    return spark
