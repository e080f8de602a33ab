"""Trying mutants: which tests tell them from the product.

Starting Python, importing libraries and collecting tests take far longer than the tests that concern
one mutant. So a plugin of pytest waits until everything is collected; then, for each mutant, the
process forks, and the fork puts the changed code into the functions that hold it and runs the tests
that reach the changed lines, until one fails. A change of what runs on import, such as a constant,
cannot be put in place like this; it is tried in a fork of a process that has imported the libraries
but not yet the product.
"""

import gc
import importlib
import math
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType

import msgspec
import pytest

from _forks import Ended, Task, run_in_forks
from _mutations import Mutant
from _reach import FileReach, Reach, digest, measured, run_items, stale
from _swap import ChangedImport, caches, live_functions, swaps

__all__ = ["Trial", "Verdict", "tried"]

# Beyond this, a test of a mutant that hangs is ended; other work may make the machine slow.
_SPARE_SECONDS = 5.0
_FACTOR = 8.0
# What the tests of one mutant may take together; the quickest are chosen.
_TESTS_SECONDS = 10.0
_MEASURING_SECONDS = 600.0
_TEST_SECONDS = 120
_SURVIVED = "survived"


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Attributes:
        mutant: which.
        outcome: "killed", "timeout", "survived", or "unreached" where no test runs its lines.
        test: the first that failed, if one did.
        seconds: what it took.
    """

    mutant: Mutant
    outcome: str
    test: str
    seconds: float

    @property
    def is_killed(self) -> bool:
        """Whether the tests tell it from the product."""
        return self.outcome in {"killed", "timeout"}


@dataclass(frozen=True)
class Trial:
    """How mutants are tried.

    Attributes:
        root: the project's folder.
        libraries: what is imported before the process is forked.
        options: for every run of pytest.
        source: the folder that holds the package.
        scope: the modules that may be changed.
        tests: files and folders.
        around: contexts to be in while mutants are tried, each as `module:function`.
        workers: how many mutants are tried at a time.
        cache: where it is kept what tests reach.
    """

    root: Path
    libraries: Sequence[str]
    options: Sequence[str]
    source: Path
    scope: Sequence[Path]
    tests: Sequence[str]
    around: Sequence[str]
    workers: int
    cache: Path

    def pytest(self, arguments: Sequence[str], plugin: object) -> int:
        """Run pytest in this process; returns its exit status."""
        os.chdir(self.root)
        off = (f"-pno:{name}" for name in ("randomly", "cacheprovider", "xdist", "schemathesis"))
        fixed = ("-q", "-s", f"--timeout={_TEST_SECONDS}", *off)
        return int(pytest.main([*fixed, *self.options, *arguments], plugins=[plugin]))


def tried(trial: Trial, mutants: Sequence[Mutant]) -> list[Verdict]:
    """Try mutants; returns what became of each, in no order."""
    for library in trial.libraries:
        importlib.import_module(library)
    verdicts = trial.cache.with_suffix(".jsonl")
    verdicts.unlink(missing_ok=True)
    by_key = {(mutant.path, mutant.name): mutant for mutant in mutants}

    def in_warm_process() -> str:
        return str(trial.pytest(trial.tests, _Collected(trial, mutants, verdicts)))

    whole = [Task("tests", in_warm_process, 86_400.0)]
    ended = next(run_in_forks(whole, 1, is_silent=False))
    if ended.answer != "0":
        message = f"The tests ended with {ended.answer or ended.status}.\n{ended.trouble}"
        raise RuntimeError(message)
    on_import: list[Mutant] = []
    found: list[Verdict] = []
    for line in verdicts.read_bytes().splitlines():
        path, name, outcome, test, seconds = msgspec.json.decode(line)
        if outcome == "on import":
            on_import.append(by_key[path, name])
        else:
            found.append(Verdict(by_key[path, name], outcome, test, seconds))
    reach = msgspec.json.decode(trial.cache.read_bytes(), type=Reach)
    return [*found, *_on_import(trial, on_import, reach)]


class _Collected:
    """The plugin that takes over once all tests are collected."""

    def __init__(self, trial: Trial, mutants: Sequence[Mutant], verdicts: Path) -> None:
        self._trial = trial
        self._mutants = mutants
        self._verdicts = verdicts

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try every mutant instead of running the tests."""
        if session.testsfailed:
            return False
        with ExitStack() as stack:
            for name in self._trial.around:
                module, _, function = name.partition(":")
                stack.enter_context(getattr(importlib.import_module(module), function)())
            self._try_all(session)
        return True

    def _try_all(self, session: pytest.Session) -> None:
        reach = _fresh_reach(self._trial, session.items)
        chooser = _Chooser(reach)
        functions = live_functions(self._trial.scope)
        empty = caches(self._trial.scope)
        items = {item.nodeid: item for item in session.items}
        # What is there is not looked at again by the collector, so the forks share it.
        gc.freeze()
        with self._verdicts.open("wb") as file:

            def write(mutant: Mutant, outcome: str, test: str = "", seconds: float = 0.0) -> None:
                line = (mutant.path, mutant.name, outcome, test, round(seconds, 3))
                file.write(msgspec.json.encode(line) + b"\n")
                file.flush()

            def tasks() -> Iterator[Task[Mutant]]:
                for mutant in self._mutants:
                    tests = chooser.tests(mutant)
                    swapped = swaps(self._trial.root / mutant.path, mutant.source, functions)
                    if swapped is None:
                        write(mutant, "on import")
                    elif not tests:
                        write(mutant, "unreached")
                    else:
                        chosen = [items[test] for test in tests]
                        work = _work(swapped, empty, chosen, _Watch(reach.seconds))
                        yield chooser.task(mutant, tests, work)

            for ended in run_in_forks(tasks(), self._trial.workers):
                outcome, test = _outcome(ended)
                chooser.learn(ended.subject, test)
                write(ended.subject, outcome, test, ended.seconds)


def _work(
    swapped: Sequence[tuple[FunctionType, CodeType]],
    empty: Sequence[Callable[[], None]],
    items: Sequence[pytest.Item],
    watch: "_Watch",
) -> Callable[[], str]:
    """What a fork does: it puts code in place and runs tests until one fails."""

    def work() -> str:
        for function, code in swapped:
            function.__code__ = code
        for clear in empty:
            clear()
        items[0].config.pluginmanager.register(watch)
        run_items(items, until=lambda: bool(watch.failed))
        return watch.failed or _SURVIVED

    return work


class _Watch:
    """A plugin that knows the first test that failed, and ends the process if one hangs."""

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self.failed = ""
        self._seconds = seconds

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Give a test several times what it takes on the product."""
        may_take = _SPARE_SECONDS + _FACTOR * self._seconds.get(item.nodeid, 0.0)
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        until = math.ceil(time.process_time() + may_take)
        resource.setrlimit(resource.RLIMIT_CPU, (min(until, most), most))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure of any part of a test."""
        if report.failed and not self.failed:
            self.failed = report.nodeid


class _Chooser:
    """Chooses the tests of a mutant, the likeliest to fail first."""

    def __init__(self, reach: Reach) -> None:
        self._seconds = reach.seconds
        self._by_line = reach.by_line()
        self._kills: Counter[tuple[str, str]] = Counter()

    def tests(self, mutant: Mutant) -> list[str]:
        """Those that run a line of its statement, as many as there is time for."""
        lines = range(mutant.first_line, mutant.last_line + 1)
        found = {test for line in lines for test in self._by_line.get((mutant.path, line), ())}
        return self._within_time(mutant, found)

    def tests_of_module(self, mutant: Mutant) -> list[str]:
        """Those that run any line of its module, as many as there is time for."""
        found = {t for (path, _), ts in self._by_line.items() if path == mutant.path for t in ts}
        return self._within_time(mutant, found)

    def task(
        self, mutant: Mutant, tests: Sequence[str], work: Callable[[], str], spare: float = 0.0
    ) -> Task[Mutant]:
        """A mutant's task with the time it may take."""
        usual = sum(self._seconds[test] for test in tests)
        return Task(mutant, work, _SPARE_SECONDS + spare + _FACTOR * usual)

    def learn(self, mutant: Mutant, test: str) -> None:
        """What fails for one mutant of a function is likely to fail for the next."""
        if test:
            self._kills[mutant.function, test] += 1
            self._kills[mutant.path, test] += 1

    def _within_time(self, mutant: Mutant, tests: Iterable[str]) -> list[str]:
        own = f"test_{Path(mutant.path).stem}.py"

        def order(test: str) -> tuple[int, int, bool, float, str]:
            near, far = self._kills[mutant.function, test], self._kills[mutant.path, test]
            return -near, -far, own not in test, self._seconds[test], test

        chosen: list[str] = []
        total = 0.0
        for test in sorted(tests, key=order):
            total += self._seconds[test]
            if chosen and total > _TESTS_SECONDS:
                total -= self._seconds[test]
                continue
            chosen.append(test)
        return chosen


def _outcome(ended: Ended[Mutant]) -> tuple[str, str]:
    if ended.is_late:
        return "timeout", ""
    if ended.answer == _SURVIVED:
        return _SURVIVED, ""
    # A fork that broke on its own has told the mutant from the product too.
    return "killed", ended.answer


def _fresh_reach(trial: Trial, items: Sequence[pytest.Item]) -> Reach:
    """What the tests reach, measured where it is not known yet."""
    current = digest(trial.scope)
    reach = Reach(current)
    if trial.cache.exists():
        kept = msgspec.json.decode(trial.cache.read_bytes(), type=Reach)
        reach = kept if kept.digest == current else reach
    missing: dict[str, list[pytest.Item]] = {}
    for item in stale(reach, items):
        missing.setdefault(str(item.path), []).append(item)
    draft = trial.cache.with_suffix(".new")

    def task(name: str) -> Task[str]:
        def measure() -> str:
            return msgspec.json.encode(measured(missing[name], trial.scope, trial.root)).decode()

        return Task(name, measure, _MEASURING_SECONDS)

    for ended in run_in_forks(map(task, missing), trial.workers):
        if not ended.answer:
            message = (
                f"What {ended.subject} reaches is not known ({ended.status}).\n{ended.trouble}"
            )
            raise RuntimeError(message)
        reach.files[ended.subject] = msgspec.json.decode(ended.answer, type=FileReach)
        draft.write_bytes(msgspec.json.encode(reach))
        draft.replace(trial.cache)
    return reach


def _on_import(trial: Trial, mutants: Sequence[Mutant], reach: Reach) -> Iterator[Verdict]:
    """Try mutants in processes that import the product anew."""
    chooser = _Chooser(reach)

    def tasks() -> Iterator[Task[Mutant]]:
        for mutant in mutants:
            tests = chooser.tests_of_module(mutant)
            module = (trial.root / mutant.path).relative_to(trial.source).with_suffix("")
            finder = ChangedImport(".".join(module.parts), mutant.source)

            def work(finder: ChangedImport = finder, tests: Sequence[str] = tests) -> str:
                sys.meta_path.insert(0, finder)
                watch = _Watch(reach.seconds)
                status = trial.pytest(["-x", *tests], watch)
                return watch.failed or (f"status {status}" if status else _SURVIVED)

            yield chooser.task(mutant, tests, work, spare=30.0)

    for ended in run_in_forks(tasks(), trial.workers):
        outcome, test = _outcome(ended)
        chooser.learn(ended.subject, test)
        yield Verdict(ended.subject, outcome, test, ended.seconds)
