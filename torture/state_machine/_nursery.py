"""Processes of dpdau that are forked from one that has everything imported.

Run: python _nursery.py [RUNS:DAYS ...]

Importing the product takes longer than anything it is asked here, so it is done once. Each line of
standard input is a JSON object that says what to start (see `Birth`); each line of standard output
is `[ID, PID]` for what was started or `[ID, null, STATUS]` for what has ended. The end of the
input ends everything that was started. RUNS:DAYS are presence sets whose strategy is designed
beforehand, which every process then inherits.
"""

import gc
import json
import os
import select
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict

from _launch import now
from dpdau.model import calendar
from dpdau.pipeline import leaps

__all__ = ["Birth"]


class Birth(TypedDict):
    """What to start.

    Attributes:
        id: names it in answers.
        arguments: of the command line, without `dpdau`.
        environment: every variable.
        folder: where it works.
        clock: the file that says what time it is.
        rounds: the file that says how many rounds of upkeep are due; None for upkeep by time.
        mutation: a name in `_faulty`; None for the product as it is.
        output: the file for its standard output.
        errors: the file for its standard error.
    """

    id: int
    arguments: list[str]
    environment: dict[str, str]
    folder: str
    clock: str
    rounds: str | None
    mutation: str | None
    output: str
    errors: str


_clocks: list[Path] = []


def _import_all(presences: Sequence[str]) -> None:
    """Import what any command needs, under clocks of files, and design what takes seconds."""
    # The others take these from their modules when they are imported.
    calendar.utc_now = lambda: now(_clocks[0])
    # Months pass in a second here; tests/e2e/faults/test_clock.py has clocks that leap.
    leaps.BELIEVED_AFTER = timedelta(0)
    import dpdau.cli  # noqa: PLC0415
    import dpdau.maintenance.backup  # noqa: PLC0415
    import dpdau.maintenance.doctor  # noqa: PLC0415
    import dpdau.maintenance.restore  # noqa: PLC0415
    import dpdau.service  # noqa: F401, PLC0415
    from dpdau.privacy.strategy import Presence, make_plan  # noqa: PLC0415

    for presence in presences:
        runs, days = map(int, presence.split(":"))
        make_plan(days, Presence.of(days, runs or None), epsilon=1.0, delta=1e-6)


def _live(birth: Birth) -> int:
    """What a child does; returns its exit status."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor, name in ((1, birth["output"]), (2, birth["errors"])):
        opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.close(0)
    os.chdir(birth["folder"])
    os.environ.clear()  # noqa: TID251 - the child's own
    os.environ.update(birth["environment"])  # noqa: TID251 - as above
    _clocks.append(Path(birth["clock"]))
    if birth["rounds"] is not None:
        from _stepped import step_upkeep  # noqa: PLC0415

        step_upkeep(Path(birth["rounds"]))
    if birth["mutation"] is not None:
        from _faulty import FAULTS  # noqa: PLC0415

        FAULTS[birth["mutation"]].introduce()
    from dpdau.cli import main  # noqa: PLC0415

    sys.argv = ["dpdau", *birth["arguments"]]
    try:
        return main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def _fork(birth: Birth) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        status = _live(birth)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _tell(*what: int | None) -> None:
    os.write(1, (json.dumps(what) + "\n").encode())


def _serve() -> None:
    woken, waking = os.pipe()
    for descriptor in (woken, waking):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(waking)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, int] = {}
    waiting = b""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 1024)
            _bury(children)
        if 0 in ready:
            read = os.read(0, 1 << 16)
            if not read:
                break
            *lines, waiting = (waiting + read).split(b"\n")
            for line in lines:
                birth: Any = json.loads(line)
                pid = _fork(birth)
                children[pid] = birth["id"]
                _tell(birth["id"], pid)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _bury(children: dict[int, int]) -> None:
    """Tell of every child that has ended."""
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        _tell(children.pop(pid), None, os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    _import_all(sys.argv[1:])
    # What is imported stays, so children need not look through it for garbage.
    gc.freeze()
    _serve()
