"""Where events are read from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame, SparkSession

from dpdau.errors import InvalidValueError
from dpdau.spark.failures import failing_clearly

__all__ = ["TableSource"]

_PARQUET = "parquet"
# Of these Spark wants to be told the columns of a stream; others know them, and may refuse to be told.
_WITHOUT_SCHEMA = {_PARQUET, "csv", "json", "orc"}


@dataclass(frozen=True, slots=True)
class TableSource:
    """A table of events: files of one format, or a table of a catalog.

    Attributes:
        paths: files or folders, as Spark reads them.
        table: a table or view of Spark's catalogs, in their place.
        file_format: the format of the files, by Spark's name for it.
        options: what its reader is told, such as `header` for CSV.
        arrival: the column by which events are in order: a timestamp or a whole number.
    """

    paths: Sequence[str] = ()
    table: str | None = None
    file_format: str = _PARQUET
    options: Mapping[str, str] = field(default_factory=dict)
    arrival: str = "received_at"

    def __post_init__(self) -> None:
        """Check that it names one place.

        Raises:
            InvalidValueError: if it names none, or two.
        """
        if bool(self.paths) == (self.table is not None):
            raise InvalidValueError("events", self.name, "paths of files, or one table")

    @property
    def name(self) -> str:
        """What it is called in errors."""
        return self.table or ", ".join(self.paths)

    def read(self, spark: SparkSession) -> DataFrame:
        """The table as it is now.

        Raises:
            FileUnreadableError: if it is not there.
        """
        with failing_clearly("opening the events", self.name):
            if self.table is not None:
                return spark.read.table(self.table)
            reader = spark.read.format(self.file_format).options(**self.options)
            # Formats that others bring to Spark may not take a list.
            return reader.load(self.paths[0] if len(self.paths) == 1 else list(self.paths))

    def stream(self, spark: SparkSession) -> DataFrame:
        """The table as it grows, each file of it once.

        Raises:
            FileUnreadableError: if it is not there.
            InvalidValueError: if there is more than one path.
        """
        if self.table is None and len(self.paths) != 1:
            raise InvalidValueError("events", self.name, "one path, which may be a pattern")
        with failing_clearly("opening the events", self.name):
            reader = spark.readStream.options(**self.options)
            if self.table is not None:
                return reader.table(self.table)
            reader = reader.format(self.file_format)
            if self.file_format in _WITHOUT_SCHEMA:
                reader = reader.schema(self.read(spark).schema)
            return reader.load(self.paths[0])
