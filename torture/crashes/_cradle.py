"""Processes that start at once, since their parent has read the product's code already.

Run: python _cradle.py

Each line of the input is a birth: the arguments of `_launch.py`, the environment, the folder to
work in, and the file for what is printed. The answer is the number of the new process, which is
left to whoever collects orphans (`_newborn.py`). To read the code takes most of a start, and a
harness that kills a thousand processes has to start as many.
"""

import ctypes
import gc
import json
import os
import sys
import traceback
from collections.abc import Callable

__all__ = ["main"]

_BROKEN = 70


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

    gc.freeze()


def _live(birth: dict[str, object]) -> None:
    """Be the process that was asked for."""
    environment, arguments = birth["environment"], birth["arguments"]
    if not isinstance(environment, dict) or not isinstance(arguments, list):
        raise TypeError(birth)
    printed = os.open(str(birth["printed"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(printed, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()  # noqa: TID251 - this process gets the one that it was given
    os.environ.update(environment)  # noqa: TID251 - as above
    if environment["LD_PRELOAD"]:
        ctypes.CDLL(environment["LD_PRELOAD"]).interpose_begin()
    os.chdir(str(birth["folder"]))
    sys.argv = ["_launch.py", *map(str, arguments)]
    import _launch  # noqa: PLC0415

    _launch.main()


def main(change: Callable[[], None] = lambda: None) -> None:
    """Bear what is asked for until the input ends.

    Args:
        change: makes the product another one, to see that it is found out.
    """
    _read_the_code()
    change()
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
                _live(birth)
            except SystemExit as end:
                os._exit(end.code if isinstance(end.code, int) else 1)
            except BaseException:  # noqa: BLE001 - it must not go on as its parent
                traceback.print_exc()
            os._exit(_BROKEN)
        # Only when its parent is gone, it is an orphan.
        os.waitpid(middle, 0)
        os.close(writing)
        with os.fdopen(reading) as number:
            print(number.readline().strip(), flush=True)


if __name__ == "__main__":
    main()
