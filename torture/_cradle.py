"""Processes that start at once, since their parent has read the product's code already.

Run: python _cradle.py

Each line of the input is a `Birth`. The answer is the number of the new process, which is left to
whoever collects orphans (`_newborn.py`). To read the code takes most of a start, and a harness that
kills a thousand processes, or takes a thousand steps, has to start as many.
"""

import ctypes
import gc
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TypeAlias, TypedDict

__all__ = ["Birth", "Call", "main"]

Call: TypeAlias = tuple[str, str, Sequence[str]]
"""A module, a function of it, and what that is given."""

_BROKEN = 70


class Birth(TypedDict):
    """What is to be started.

    Attributes:
        arguments: of `_launch.py`.
        environment: every variable.
        folder: where it works.
        output: the file for its standard output.
        errors: the file for its standard error, perhaps the same.
        first: what it calls before.
    """

    arguments: Sequence[str]
    environment: dict[str, str]
    folder: str
    output: str
    errors: str
    first: Sequence[Call]


def _read_the_code() -> None:
    import _launch  # noqa: PLC0415

    _launch.live_by_a_clock()
    import dp_accounting.pld.privacy_loss_distribution  # noqa: F401, PLC0415
    import scipy.linalg  # noqa: F401, PLC0415
    import uvicorn.loops.auto  # noqa: PLC0415
    import uvicorn.protocols.http.auto  # noqa: F401, PLC0415

    import dpdau.cli  # noqa: PLC0415
    import dpdau.maintenance.backup  # noqa: PLC0415
    import dpdau.maintenance.doctor  # noqa: PLC0415
    import dpdau.maintenance.restore  # noqa: PLC0415
    import dpdau.service.server  # noqa: F401, PLC0415


def _live(birth: Birth) -> None:
    """Be the process that was asked for."""
    for descriptor, name in ((1, birth["output"]), (2, birth["errors"])):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()  # noqa: TID251 - this process gets the one that it was given
    os.environ.update(birth["environment"])  # noqa: TID251 - as above
    if birth["environment"].get("LD_PRELOAD"):
        ctypes.CDLL(birth["environment"]["LD_PRELOAD"]).interpose_begin()
    os.chdir(birth["folder"])
    for module, function, arguments in birth["first"]:
        getattr(import_module(module), function)(*arguments)
    sys.argv = ["_launch.py", *birth["arguments"]]
    import _launch  # noqa: PLC0415

    _launch.main()


def main(change: Callable[[], None] = lambda: None) -> None:
    """Bear what is asked for until the input ends.

    Args:
        change: makes the product another one, for all that are born.
    """
    _read_the_code()
    change()
    # What is there stays, so children need not look through it for garbage.
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        birth = json.loads(line)
        reading, writing = os.pipe()
        middle = os.fork()
        if not middle:
            child = os.fork()
            if child:
                os.write(writing, f"{child}\n".encode())
                os._exit(0)
            try:
                os._exit(_lived(birth))
            finally:
                # Whatever happens, it must not go on as its parent.
                os._exit(_BROKEN)
        # Only when its parent is gone, it is an orphan.
        os.waitpid(middle, 0)
        os.close(writing)
        with os.fdopen(reading) as number:
            print(number.readline().strip(), flush=True)


def _lived(birth: Birth) -> int:
    """Be a process to its end; gives its status."""
    status = _BROKEN
    try:
        _live(birth)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - a traceback, as Python prints one
        traceback.print_exc()
    sys.stdout.flush()
    return status


if __name__ == "__main__":
    main()
