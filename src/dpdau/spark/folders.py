"""Folders on whatever file system Spark reaches, by its own means."""

import os
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

__all__ = ["Folder"]

_DONE = "_SUCCESS"
_LOCAL = "file"


class Folder:
    """A folder, which need not exist."""

    def __init__(self, spark: SparkSession, path: str) -> None:
        """Name it.

        Args:
            spark: the session whose file systems are meant.
            path: a path or URI, as Hadoop reads them.
        """
        self._spark = spark
        self.path = path.rstrip("/")

    def __truediv__(self, name: str) -> "Folder":
        """A folder in it."""
        return Folder(self._spark, f"{self.path}/{name}")

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rsplit("/", 1)[-1]

    def folders(self) -> list["Folder"]:
        """The folders in it, by name; none if it does not exist."""
        path, system = self._opened()
        if not system.exists(path):
            return []
        found = [each for each in system.listStatus(path) if each.isDirectory()]
        return [self / name for name in sorted(each.getPath().getName() for each in found)]

    def is_complete(self) -> bool:
        """Whether the job that wrote it has ended well."""
        path, system = self._opened(_DONE)
        return bool(system.exists(path))

    def delete(self) -> None:
        """Delete it and all that is in it, if it exists."""
        path, system = self._opened()
        system.delete(path, True)  # noqa: FBT003 - Hadoop's own signature

    def sync(self) -> None:
        """Make what is in it durable, where that is not the file system's own affair."""
        path, system = self._opened()
        if system.getScheme() != _LOCAL:
            return
        local = Path(path.toUri().getPath())
        for each in (*local.rglob("*"), local, *local.parents[:3]):
            descriptor = os.open(each, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _opened(self, file: str = "") -> tuple[Any, Any]:
        """Its path, or that of a file in it, and the file system, of the Java side."""
        # PySpark has no other way to files than the objects behind it.
        java: Any = self._spark.sparkContext._jvm  # noqa: SLF001
        session: Any = self._spark._jsparkSession  # noqa: SLF001
        path = java.org.apache.hadoop.fs.Path(f"{self.path}/{file}")
        return path, path.getFileSystem(session.sessionState().newHadoopConf())
