"""What Spark throws, in words of our own.

Its messages may quote a value of a row, and so a user id: nothing of them is repeated but names of
files and of kinds of errors.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from dpdau.errors import FileUnreadableError, SparkFailedError

__all__ = ["failing_clearly"]

_READING = re.compile(r"(?:reading file|read(?:ing)? (?:the )?footer for file:?)[:\s]+(\S+)")
_MISSING = re.compile(r"PATH_NOT_FOUND\].*?: *(\S+)", re.DOTALL)
_UNKNOWN_TABLE = "TABLE_OR_VIEW_NOT_FOUND"
_UNKNOWN_FORMAT = "DATA_SOURCE_NOT_FOUND"
_NO_SCHEMA = "UNABLE_TO_INFER_SCHEMA"
_REASONS = {
    _UNKNOWN_TABLE: "there is no such table or view in Spark's catalogs",
    _UNKNOWN_FORMAT: "Spark has no such --format here; spark-submit --packages brings more",
    _NO_SCHEMA: "there is no file of that format in it",
}


@contextmanager
def failing_clearly(doing: str, source: str = "what was to be read") -> Iterator[None]:
    """Raise errors of ours in place of Spark's.

    Args:
        doing: what is being done, as "counting mau-30d-2025-11".
        source: the table or folder that events are read from.

    Raises:
        FileUnreadableError: if a file is missing or damaged.
        SparkFailedError: if something else fails.
    """
    try:
        yield
    except (PySparkException, Py4JError, ConnectionError) as error:
        text = str(error)
        if found := _READING.search(text):
            file = found[1].rstrip(".")
            reason = "it is damaged, or was removed while it was read; nothing came of any file"
            raise FileUnreadableError(file, reason) from error
        if found := _MISSING.search(text):
            raise FileUnreadableError(found[1].rstrip("."), "there is no such file") from error
        for condition, reason in _REASONS.items():
            if condition in text:
                raise FileUnreadableError(source, reason) from error
        raise SparkFailedError(doing, _kind(error)) from error


def _kind(error: Exception) -> str:
    """The name of what went wrong."""
    condition = error.getCondition() if isinstance(error, PySparkException) else None
    return condition or type(error).__name__
