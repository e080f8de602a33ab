"""A library that stands between a process and the file system, and the file that controls it.

`_interpose.c` says what it does. Here it is compiled, and told what to do while a process that has
it loaded runs.
"""

import ctypes
import mmap
import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, auto
from hashlib import sha256
from pathlib import Path
from typing import Self

__all__ = ["CHANGES", "Action", "Call", "Hit", "Interposer", "library"]

_SOURCE = Path(__file__).with_name("_interpose.c")
_BUILD = Path(__file__).parent.parent / "build" / "torture"
_FLAGS = ("-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror")
_TEXT_BYTES = 256
_PLACES = 16


class Call(IntEnum):
    """Kinds of calls, as the library numbers them."""

    WRITE = 0
    SYNC = auto()
    TRUNCATE = auto()
    RENAME = auto()
    UNLINK = auto()
    LINK = auto()
    CREATE = auto()
    MKDIR = auto()
    RMDIR = auto()
    READ = auto()


CHANGES = frozenset(Call) - {Call.READ}
"""The calls by which anything becomes visible or durable."""


class Action(IntEnum):
    """What may be done to a call.

    A torn write writes half of the bytes, in whole sectors, before the process dies, and is a
    death before any other call. A shortened write writes half and says so.
    """

    DIE_BEFORE = 1
    DIE_AFTER = auto()
    DIE_TORN = auto()
    FAIL = auto()
    SHORTEN = auto()
    STALL = auto()


class _Control(ctypes.Structure):
    """As `struct control` of the library."""

    _fields_ = (
        ("calls", ctypes.c_uint64 * _PLACES),
        ("syncs_lie", ctypes.c_uint32),
        ("armed", ctypes.c_uint32),
        ("action", ctypes.c_uint32),
        ("kinds", ctypes.c_uint32),
        ("first", ctypes.c_uint64),
        ("times", ctypes.c_uint64),
        ("error", ctypes.c_uint32),
        ("milliseconds", ctypes.c_uint32),
        ("part", ctypes.c_char * _TEXT_BYTES),
        ("matched", ctypes.c_uint64),
        ("hits", ctypes.c_uint64),
        ("hit_kind", ctypes.c_uint32),
        ("hit_path", ctypes.c_char * _TEXT_BYTES),
    )


@dataclass(frozen=True, slots=True)
class Hit:
    """The call that was last hit.

    Attributes:
        call: what it was.
        path: of which file, below the folder.
        count: how many calls were hit since arming.
    """

    call: Call
    path: str
    count: int

    def __str__(self) -> str:
        return f"{self.call.name.lower()} of {self.path}"


def library() -> Path:
    """The compiled library, compiled anew if its source has changed.

    Raises:
        RuntimeError: if there is no C compiler, or it fails.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        message = "There is no C compiler: install gcc and libc6-dev (Debian), or clang."
        raise RuntimeError(message)
    name = sha256(_SOURCE.read_bytes() + repr((_FLAGS, compiler)).encode()).hexdigest()[:16]
    path = _BUILD / f"interpose-{sysconfig.get_platform()}-{name}.so"
    if not path.exists():
        _BUILD.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{id(path):x}")
        done = subprocess.run(
            [compiler, *_FLAGS, "-o", str(draft), str(_SOURCE), "-ldl", "-pthread"],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            message = f"{compiler} does not compile {_SOURCE}:\n{done.stderr}"
            raise RuntimeError(message)
        draft.replace(path)
    return path


class Interposer:
    """The control of processes that have the library loaded.

    Each process that is to be told something of its own needs one of its own; several may share
    the undo log.
    """

    def __init__(self, control: Path, root: Path, *, undo: Path | None = None) -> None:
        """Make the control file.

        Args:
            control: the file, made anew.
            root: the folder whose files are watched.
            undo: a folder for the undo log, on the file system of `root` and not in it; None if
                no power cut is to be simulated. It is made if it is missing.
        """
        control.write_bytes(bytes(ctypes.sizeof(_Control)))
        self._file, self._root, self._undo = control, root, undo
        if undo is not None:
            undo.mkdir(parents=True, exist_ok=True)
        with control.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._control = _Control.from_buffer(self._memory)

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs besides the library in LD_PRELOAD."""
        given = {"INTERPOSE_CONTROL": str(self._file), "INTERPOSE_ROOT": str(self._root.resolve())}
        return given if self._undo is None else {**given, "INTERPOSE_UNDO": str(self._undo)}

    @property
    def calls(self) -> Mapping[Call, int]:
        """How many calls there were of each kind."""
        return {call: self._control.calls[call] for call in Call}

    @property
    def hit(self) -> Hit | None:
        """What was last hit since arming; None if nothing was."""
        count = self._control.hits
        if not count:
            return None
        path = self._control.hit_path.decode(errors="replace")
        return Hit(Call(self._control.hit_kind), path, count)

    @property
    def action(self) -> Action:
        """What was last armed."""
        return Action(self._control.action)

    @property
    def matched(self) -> int:
        """How many calls since arming were of a kind and path that count."""
        return int(self._control.matched)

    @property
    def syncs_lie(self) -> bool:
        """Whether fsync and fdatasync do nothing and say they did."""
        return bool(self._control.syncs_lie)

    @syncs_lie.setter
    def syncs_lie(self, lie: bool) -> None:
        self._control.syncs_lie = lie

    def arm(
        self,
        action: Action,
        *,
        first: int = 1,
        times: int | None = 1,
        calls: Iterable[Call] = CHANGES,
        part: str = "",
        error: int = 0,
        milliseconds: int = 0,
    ) -> None:
        """Let something happen to a call that is still to come.

        Args:
            action: what.
            first: to which call from now on, from 1, of those that count.
            times: to how many in a row; None for all from then on.
            calls: the kinds that count.
            part: what the path of one that counts contains, below the folder.
            error: the errno of FAIL.
            milliseconds: how long STALL takes.
        """
        self.reset()
        control = self._control
        control.action, control.kinds = action, sum(1 << call for call in calls)
        control.first, control.times = first, times or 0
        control.error, control.milliseconds = error, milliseconds
        control.part = part.encode()
        control.armed = 1

    def disarm(self) -> None:
        """Let everything pass; what was hit last stays known."""
        self._control.armed = 0

    def reset(self) -> None:
        """Let everything pass, and forget what was hit."""
        self.disarm()
        self._control.matched = self._control.hits = 0

    def close(self) -> None:
        """Give the memory back; processes that have the library are no longer reached."""
        del self._control
        self._memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
