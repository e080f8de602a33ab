"""Which lines each test runs, and how long it takes."""

import hashlib
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import coverage
import msgspec
import pytest

__all__ = ["FileReach", "Reach", "digest", "measured", "run_items", "stale"]


class FileReach(msgspec.Struct):
    """What the tests of one file reach.

    Attributes:
        digest: of the file.
        seconds: of the processor, by test that passed.
        lines: by test and module.
    """

    digest: str
    seconds: dict[str, float] = {}
    lines: dict[str, dict[str, list[int]]] = {}


class Reach(msgspec.Struct):
    """What all tests reach.

    Attributes:
        digest: of the modules.
        files: by file of tests.
    """

    digest: str
    files: dict[str, FileReach] = {}

    @property
    def seconds(self) -> dict[str, float]:
        """What each test takes of the processor."""
        return {test: took for file in self.files.values() for test, took in file.seconds.items()}

    def by_line(self) -> dict[tuple[str, int], set[str]]:
        """The tests that run each line of each module."""
        found: dict[tuple[str, int], set[str]] = {}
        for file in self.files.values():
            for test, modules in file.lines.items():
                for module, lines in modules.items():
                    for line in lines:
                        found.setdefault((module, line), set()).add(test)
        return found


def digest(paths: Sequence[Path]) -> str:
    """A digest of files."""
    content = hashlib.sha256()
    for path in paths:
        content.update(path.read_bytes())
    return content.hexdigest()


def stale(reach: Reach, items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The tests whose file has changed since it was measured; what was measured of it is dropped."""
    digests = {str(item.path): digest([item.path]) for item in items}
    reach.files = {
        name: file for name, file in reach.files.items() if digests.get(name) == file.digest
    }
    return [item for item in items if str(item.path) not in reach.files]


def measured(items: Sequence[pytest.Item], scope: Sequence[Path], root: Path) -> FileReach:
    """Run the tests of a file and see what they reach; those that fail here are left out."""
    tracer = coverage.Coverage(
        data_file=None, config_file=False, include=[str(path) for path in scope]
    )
    tracer.set_option("run:disable_warnings", ["no-data-collected"])
    recorder = _Recorder(tracer)
    items[0].config.pluginmanager.register(recorder)
    tracer.start()
    run_items(items)
    tracer.stop()
    found = FileReach(digest([items[0].path]))
    users: dict[str, set[str]] = {}
    for item in items:
        test = item.nodeid
        if test in recorder.failed:
            continue
        found.seconds[test] = recorder.seconds.get(test, 0.0)
        found.lines[test] = {}
        for name in (test, *map(_shared, getattr(item, "fixturenames", ()))):
            users.setdefault(name, set()).add(test)
    data = tracer.get_data()
    for path in scope:
        module = path.relative_to(root).as_posix()
        for line, contexts in data.contexts_by_lineno(str(path)).items():
            for test in {test for name in contexts for test in users.get(name, ())}:
                found.lines[test].setdefault(module, []).append(line)
    return found


class _Recorder:
    """A plugin that says to the tracer whose the lines are that run."""

    def __init__(self, tracer: coverage.Coverage) -> None:
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()
        self._tracer = tracer
        self._test = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what does not pass."""
        if report.outcome != "passed":
            self.failed.add(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Lines and time are the test's."""
        self._test = item.nodeid
        self._tracer.switch_context(item.nodeid)
        started = time.process_time()
        result = yield
        self.seconds[item.nodeid] = time.process_time() - started
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object]
    ) -> Generator[None, object, object]:
        """Lines of a shared fixture are those of every test that asks for it."""
        if fixturedef.scope == "function":
            return (yield)
        self._tracer.switch_context(_shared(fixturedef.argname))
        try:
            return (yield)
        finally:
            self._tracer.switch_context(self._test)


def _shared(fixture: str) -> str:
    return f"fixture {fixture}"


def run_items(items: Sequence[pytest.Item], until: Callable[[], bool] = lambda: False) -> None:
    """Run tests one after the other, until there is a reason to stop."""
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if until():
            return
