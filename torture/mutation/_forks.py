"""Work in forks of this process, each of which is ended if it takes too long."""

import ctypes
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NoReturn, TypeVar

__all__ = ["Ended", "Task", "run_in_forks"]

T = TypeVar("T")
_ANSWER = "answer"
_TROUBLE = "trouble"
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Task(Generic[T]):
    """What a fork does.

    Attributes:
        subject: what it is about.
        work: returns a line to hand back.
        seconds: of the processor, after which it is ended.
    """

    subject: T
    work: Callable[[], str]
    seconds: float

    @property
    def patience_seconds(self) -> float:
        """After which it is ended even if it waits; others may keep the processor busy."""
        return 60.0 + 10.0 * self.seconds


@dataclass(frozen=True)
class Ended(Generic[T]):
    """How a fork ended.

    Attributes:
        subject: what it was about.
        answer: what it handed back; empty if it broke.
        trouble: the traceback if it broke.
        status: as `os.waitstatus_to_exitcode` gives it; 0 is an answer.
        is_late: whether it was ended because it took too long.
        seconds: what it took.
    """

    subject: T
    answer: str
    trouble: str
    status: int
    is_late: bool
    seconds: float


@dataclass(frozen=True)
class _Fork(Generic[T]):
    task: Task[T]
    pid: int
    pidfd: int
    folder: Path
    started: float


def run_in_forks(
    tasks: Iterable[Task[T]], workers: int, *, is_silent: bool = True
) -> Iterator[Ended[T]]:
    """Do each task in a fork of its own, several at a time, in no order.

    A task is asked for when there is room, so it may depend on how earlier ones ended.
    """
    waiting = iter(tasks)
    running: dict[int, _Fork[T]] = {}
    try:
        while True:
            while len(running) < workers and (task := next(waiting, None)) is not None:
                fork = _started(task, is_silent=is_silent)
                running[fork.pidfd] = fork
            if not running:
                return
            limit = min(fork.started + fork.task.patience_seconds for fork in running.values())
            ready, _, _ = select.select(list(running), [], [], max(0.0, limit - time.monotonic()))
            late = [
                fork.pidfd
                for fork in running.values()
                if fork.pidfd not in ready
                and time.monotonic() > fork.started + fork.task.patience_seconds
            ]
            for pidfd in [*ready, *late]:
                yield _ended(running.pop(pidfd), is_late=pidfd in late)
    finally:
        for fork in running.values():
            _ended(fork, is_late=True)


def _started(task: Task[T], *, is_silent: bool) -> _Fork[T]:
    folder = Path(tempfile.mkdtemp(prefix="fork-"))
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _work(task, folder, is_silent=is_silent)
    return _Fork(task, pid, os.pidfd_open(pid), folder, time.monotonic())


def _work(task: Task[T], folder: Path, *, is_silent: bool) -> NoReturn:
    """Do a task in the fork, which never returns."""
    try:
        os.setpgid(0, 0)
        # Whoever ends the parent ends this too, and what that has forked in turn.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if is_silent:
            silence = os.open(os.devnull, os.O_RDWR)
            for descriptor in range(3):
                os.dup2(silence, descriptor)
        # Where pytest puts the folders of tests; it looks nowhere else.
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)  # noqa: TID251
        processor_seconds = int(task.seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (processor_seconds, processor_seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        (folder / _ANSWER).write_text(task.work(), encoding="utf-8")
    except BaseException:  # noqa: BLE001 - nothing may be left of the fork
        (folder / _TROUBLE).write_text(traceback.format_exc(), encoding="utf-8")
        os._exit(1)
    os._exit(0)


def _ended(fork: _Fork[T], *, is_late: bool) -> Ended[T]:
    if is_late:
        os.kill(fork.pid, signal.SIGKILL)
    _, status = os.waitpid(fork.pid, 0)
    seconds = time.monotonic() - fork.started
    with suppress(ProcessLookupError):
        os.killpg(fork.pid, signal.SIGKILL)  # what it started and left
    answer, trouble = (_written(fork.folder / name) for name in (_ANSWER, _TROUBLE))
    os.close(fork.pidfd)
    shutil.rmtree(fork.folder, ignore_errors=True)
    code = os.waitstatus_to_exitcode(status)
    is_late = is_late or code == -signal.SIGXCPU
    return Ended(fork.task.subject, answer, trouble, code, is_late, seconds)


def _written(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
