"""A cradle whose product breaks a promise, so that tests see that the harness finds it out.

Run: python liars.py early-answers | late-rows
"""

import sys
import threading
from pathlib import Path
from typing import Any

__all__ = ["EARLY_ANSWERS", "LATE_ROWS"]

EARLY_ANSWERS, LATE_ROWS = "early-answers", "late-rows"
_LATE_SECONDS = 1.0


class _UndoneError(Exception):
    """Rolls a transaction back."""


def _answer_early() -> None:
    """Events are acknowledged before they are stored."""
    from dpdau.pipeline.writer import GroupCommitter  # noqa: PLC0415

    store = GroupCommitter._commit  # noqa: SLF001 - what is broken is internal

    def commit(self: GroupCommitter[Any], group: list[Any]) -> None:
        self._answer([batch.waiter for batch in group], None)
        store(self, group)  # whose own answer comes too late to be heard

    GroupCommitter._commit = commit  # type: ignore[method-assign] # noqa: SLF001 - as above


def _record_late() -> None:
    """A value leaves before its row is written."""
    from dpdau.pipeline import ondemand  # noqa: PLC0415

    append = ondemand.append_release
    revise = ondemand.OnDemandReleaser.revise

    def late(self: ondemand.OnDemandReleaser, *arguments: Any) -> Any:
        releases: list[Any] = []

        def undo(_: Any, release: Any) -> None:
            releases.append(release)
            raise _UndoneError

        ondemand.append_release = undo
        try:
            revise(self, *arguments)
        except _UndoneError:
            pass
        finally:
            ondemand.append_release = append

        def record() -> None:
            with self._guard.write() as transaction:
                append(transaction, releases[0])

        threading.Timer(_LATE_SECONDS, record).start()
        return releases[0]

    ondemand.OnDemandReleaser.revise = late  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[2] / "torture"))
    import _cradle

    _cradle.main({EARLY_ANSWERS: _answer_early, LATE_ROWS: _record_late}[sys.argv[1]])
