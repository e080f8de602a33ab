"""A store's file, and children that use it too."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("child.py")


class Child:
    """A process that runs one role of `child.py`."""

    def __init__(self, role: str, path: Path, *more: str) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - a program of this folder
            [sys.executable, CHILD, role, path, *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def heard(self) -> str:
        """The next line that the child says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go(self) -> None:
        """Let the child go on."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def start(self) -> "Child":
        """Wait until the child has started, then let it open the store."""
        assert self.heard() == "ready"
        self.go()
        return self

    def rest(self) -> list[str]:
        """All that the child says until it ends."""
        assert self.process.stdout is not None
        return self.process.stdout.read().split()

    def kill(self) -> list[str]:
        """End it at once, as a power cut would, and give what it had still said."""
        self.process.kill()
        return self.rest()

    def close(self) -> None:
        """End it if it still runs."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "dpdau.sqlite3"


@pytest.fixture
def child(path: Path) -> Iterator[Callable[..., Child]]:
    with ExitStack() as children:

        def begin(role: str, *more: str) -> Child:
            begun = Child(role, path, *more)
            children.callback(begun.close)
            return begun

        yield begin
