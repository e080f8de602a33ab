"""Processes that share a database."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CHILD = Path(__file__).with_name("child.py")
TESTS = Path(__file__).parents[2]


class Child:
    """One of them, which begins when it is told to."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - this interpreter on the file beside this one
            [sys.executable, str(CHILD), *arguments],
            env={**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent / 'bench'}"},  # noqa: TID251 - for coverage
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "ready"

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def rest(self) -> list[str]:
        """What it says until it has ended."""
        out, _ = self.process.communicate(timeout=120)
        return out.split("\n")[:-1]

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=60)


@pytest.fixture
def child(tmp_path: Path, database: str) -> Iterator[Callable[..., Child]]:
    """Starts a process; each has a folder of its own, as on machines of their own."""
    children: list[Child] = []

    def start(role: str, *arguments: str, url: str = database) -> Child:
        folder = tmp_path / f"machine-{len(children)}"
        children.append(Child(role, str(folder), url, *arguments))
        return children[-1]

    yield start
    for each in children:
        each.process.kill()
        each.process.communicate(timeout=60)
