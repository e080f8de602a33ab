"""Putting a mutant in the place of the product, in a process that ends with it."""

import functools
import gc
import importlib.machinery
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

__all__ = ["ChangedImport", "Functions", "caches", "live_functions", "swaps"]

# By file, qualified name and first line.
Functions = dict[tuple[str, str, int], list[FunctionType]]


def live_functions(scope: Sequence[Path]) -> Functions:
    """Every function of these modules that exists, however it is wrapped."""
    files = {str(path) for path in scope}
    found: Functions = {}
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename in files:
            found.setdefault(_place(thing.__code__), []).append(thing)
    return found


def swaps(
    path: Path, changed: str, functions: Functions
) -> list[tuple[FunctionType, CodeType]] | None:
    """The functions that a change of a module concerns, each with the code it gets.

    Returns:
        None if what runs on import is concerned.
    """
    found: list[tuple[FunctionType, CodeType]] = []
    for before, after in _differing(_code(path), compile(changed, path, "exec", dont_inherit=True)):
        if not before.co_flags & _IS_FUNCTION or before.co_freevars != after.co_freevars:
            return None
        found += [(holder, after) for holder in functions.get(_place(before), ())]
    return found


def caches(scope: Sequence[Path]) -> list[Callable[[], None]]:
    """What empties the caches of these modules' functions, which may be from before a change."""
    files = {str(path) for path in scope}
    found: list[Callable[[], None]] = []
    for thing in gc.get_objects():
        if isinstance(thing, functools._lru_cache_wrapper):  # noqa: SLF001 - it has no public name
            code = getattr(thing.__wrapped__, "__code__", None)
            if code is not None and code.co_filename in files:
                found.append(thing.cache_clear)
    return found


class ChangedImport:
    """A finder that has one module imported as it was changed."""

    def __init__(self, module: str, source: str) -> None:
        self._module = module
        self._source = source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's, if it is the one."""
        if fullname != self._module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _ChangedLoader(fullname, spec.origin, self._source)
        return spec


class _ChangedLoader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, source: str) -> None:
        super().__init__(fullname, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.get_filename(fullname), "exec", dont_inherit=True)


@functools.cache
def _code(path: Path) -> CodeType:
    return compile(path.read_bytes(), path, "exec", dont_inherit=True)


def _differing(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """What differs, side by side: functions of a module and of its classes, or a whole body."""
    olds, news = _inner(old), _inner(new)
    if len(olds) != len(news) or _outline(old) != _outline(new):
        yield old, new
        return
    for before, after in zip(olds, news, strict=True):
        if not before.co_flags & _IS_FUNCTION:
            yield from _differing(before, after)
        elif not _same(before, after):
            yield before, after


# The flag of code whose variables have fixed places, as those of modules and classes have not.
_IS_FUNCTION = 1


def _inner(code: CodeType) -> list[CodeType]:
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def _outline(code: CodeType) -> tuple[object, ...]:
    """All that code does but for the code objects in it."""
    plain = [repr(constant) for constant in code.co_consts if not isinstance(constant, CodeType)]
    return code.co_name, code.co_code, code.co_names, code.co_varnames, plain


def _same(one: CodeType, other: CodeType) -> bool:
    inner, others = _inner(one), _inner(other)
    return (
        _outline(one) == _outline(other)
        and len(inner) == len(others)
        and all(map(_same, inner, others))
    )


def _place(code: CodeType) -> tuple[str, str, int]:
    return code.co_filename, code.co_qualname, code.co_firstlineno
