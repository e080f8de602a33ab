"""The lines of a file that were not accepted, kept beside it with their reasons."""

import json
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from dpdau.errors import InvalidValueError
from dpdau.formats import RefusedLine

__all__ = ["RejectedLines"]

# The lines hold raw user ids.
_OWNER_ONLY = 0o600


class RejectedLines:
    """Writes `<file>.rejected.jsonl`, which exists afterwards only if a line was refused.

    What an earlier ingestion of the same file left there is replaced.

    Attributes:
        path: that file.
        count: how many lines it holds.
    """

    def __init__(self, ingested: Path) -> None:
        self.path = ingested.with_name(f"{ingested.name}.rejected.jsonl")
        self.count = 0
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unwritable(error) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, line: RefusedLine) -> None:
        """Keep one line.

        Raises:
            InvalidValueError: if the folder of the ingested file cannot be written.
        """
        record = {"line": line.line_number, "reason": line.reason, "text": line.text}
        try:
            if self._file is None:
                self._file = self._created()
            self._file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise self._unwritable(error) from None
        self.count += 1

    def _created(self) -> IO[str]:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        return os.fdopen(descriptor, "w", encoding="utf-8")

    def _unwritable(self, error: OSError) -> InvalidValueError:
        expected = f"in a folder where {self.path.name} can be written ({error.strerror})"
        return InvalidValueError("--from", str(self.path.parent), expected)
