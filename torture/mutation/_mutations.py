"""Mutants of a module: the module with one thing changed, as a slip of the hand would.

The operators are mutmut's, and two of our own: a statement that only calls something is left out,
and a condition is turned round. What no test should tell apart is left as it is, by rule:

- annotations, decorators, heads of classes, docstrings, `__all__`, imports, type variables, type
  aliases and casts;
- words: the texts of an error, and whatever a line of the log says and names. Of any other text one
  mutant is made, not three;
- bodies of protocols and blocks under `TYPE_CHECKING`, which never run.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
import libcst.matchers as m
from libcst.metadata import (
    ByteSpanPositionProvider,
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
)
from mutmut.mutation.mutators import mutation_operators, operator_string

__all__ = ["Mutant", "mutants_of"]


@dataclass(frozen=True, order=True)
class Mutant:
    """One change of one module.

    Attributes:
        path: of the module, below the project's folder.
        first_line: of the statement that is changed.
        last_line: likewise; of a compound statement, the last line of what is changed.
        function: qualified name of the function or class around it; empty in the module's body.
        before: the changed lines as they are.
        after: the changed lines as they become; empty if they go.
        occurrence: 1 for the first such change in this function, 2 for the next.
        source: the whole module, changed.
    """

    path: str
    first_line: int
    last_line: int
    function: str
    before: str
    after: str
    occurrence: int
    source: str

    @property
    def name(self) -> str:
        """What identifies it as long as the changed lines stay as they are."""
        place = f"`{self.function}`: " if self.function else ""
        nth = f" ({self.occurrence})" if self.occurrence > 1 else ""
        return f"{place}`{self.before}` → `{self.after}`{nth}"


def mutants_of(path: Path, root: Path) -> list[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    source = path.read_text(encoding="utf-8")
    wrapper = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
    collector = _Collector()
    wrapper.visit(collector)
    found: list[Mutant] = []
    seen: dict[tuple[str, str, str], int] = {}
    sources = {source}
    whole = source.encode()
    for change in collector.changes:
        middle = wrapper.module.code_for_node(change.replacement).encode()
        changed = (whole[: change.start] + middle + whole[change.end :]).decode()
        if changed in sources or not _compiles(changed):
            continue
        sources.add(changed)
        before, after = _difference(source, changed)
        key = (change.function, before, after)
        seen[key] = seen.get(key, 0) + 1
        found.append(
            Mutant(
                path.relative_to(root).as_posix(),
                change.first_line,
                change.last_line,
                *key,
                seen[key],
                changed,
            )
        )
    return found


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


def _difference(source: str, changed: str) -> tuple[str, str]:
    """The lines that differ, without their indentation, in one line each."""
    # Within brackets a changed line may be indented otherwise.
    old, new = ([line.strip() for line in text.splitlines()] for text in (source, changed))
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    return " ".join(old[start : len(old) - end]), " ".join(new[start : len(new) - end])


@dataclass(frozen=True)
class _Change:
    """What stands in place of some bytes of the module."""

    start: int
    end: int
    replacement: cst.CSTNode
    first_line: int
    last_line: int
    function: str


_TYPING_CALL = m.Call(func=m.OneOf(*(m.Name(name) for name in ("cast", "TypeVar", "NewType"))))
_TYPE_ALIAS = m.AnnAssign(annotation=m.Annotation(m.Name("TypeAlias")))
_DUNDER_ALL = m.Assign(targets=[m.AssignTarget(m.Name("__all__"))])
_PROTOCOL = m.ClassDef(
    bases=[
        m.ZeroOrMore(),
        m.Arg(m.Name("Protocol") | m.Subscript(value=m.Name("Protocol"))),
        m.ZeroOrMore(),
    ]
)
_NEVER = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.TypeAlias)
_NEVER_LIKE: dict[type[cst.CSTNode], m.BaseMatcherNode] = {
    cst.AnnAssign: _TYPE_ALIAS,
    cst.Assign: _DUNDER_ALL,
    cst.Call: _TYPING_CALL,
    cst.ClassDef: _PROTOCOL,
    cst.If: m.If(test=m.Name("TYPE_CHECKING")),
}
# Calls whose texts are for people: errors, whether raised or not, and lines of a log.
_ERROR = m.Call(
    func=m.Name(m.MatchIfTrue(lambda name: name.endswith(("Error", "Warning", "Finding"))))
    | m.Attribute(attr=m.Name(m.MatchIfTrue(lambda name: name.endswith("Error"))))
)
_LOG = m.Call(func=m.Attribute(value=m.OneOf(m.Name("_log"), m.Name("log"), m.Name("logger"))))
_TEXT = m.SimpleString() | m.FormattedString() | m.ConcatenatedString()
_CALL_ALONE = m.SimpleStatementLine(body=[m.Expr(value=m.Call() | m.Await() | m.Yield())])


class _Collector(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (ByteSpanPositionProvider, ParentNodeProvider, PositionProvider)

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[_Change] = []
        self._scopes: list[str] = []
        self._spoken = 0

    def on_visit(self, node: cst.CSTNode) -> bool:
        if self._is_fixed(node):
            return False
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self._scopes.append(node.name.value)
        if self._is_spoken(node):
            self._spoken += 1
        for replacement in self._replacements(node):
            first, last = self._lines(node)
            span = self.get_metadata(ByteSpanPositionProvider, node)
            self.changes.append(
                _Change(
                    span.start,
                    span.start + span.length,
                    _bare(node, replacement),
                    first,
                    last,
                    ".".join(self._scopes),
                )
            )
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if self._is_fixed(original_node):
            return
        if isinstance(original_node, cst.FunctionDef | cst.ClassDef):
            self._scopes.pop()
        if self._is_spoken(original_node):
            self._spoken -= 1

    def _is_fixed(self, node: cst.CSTNode) -> bool:
        parent = self.get_metadata(ParentNodeProvider, node, None)
        # What is in brackets behind a class's name says how it is made, not what it does.
        is_in_head = isinstance(node, cst.Arg) and isinstance(parent, cst.ClassDef)
        pattern = _NEVER_LIKE.get(type(node))
        is_like = pattern is not None and m.matches(node, pattern)
        return is_in_head or is_like or isinstance(node, _NEVER)

    def _is_spoken(self, node: cst.CSTNode) -> bool:
        is_call = isinstance(node, cst.Call)
        return isinstance(node, cst.Raise) or (is_call and m.matches(node, _ERROR | _LOG))

    def _replacements(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        if isinstance(node, cst.SimpleString):
            if not self._spoken:
                yield from list(operator_string(node))[:1]
            return
        if isinstance(node, cst.SimpleStatementLine) and m.matches(node, _CALL_ALONE):
            yield cst.Pass()
        if isinstance(node, cst.BaseExpression) and self._is_condition(node):
            yield _negated(node)
        if isinstance(node, cst.Call) and m.matches(node, _ERROR | _LOG):
            yield from _without_values(node)
            return
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                yield from operator(node)

    def _is_condition(self, node: cst.CSTNode) -> bool:
        parent = self.get_metadata(ParentNodeProvider, node, None)
        return isinstance(parent, cst.If | cst.While) and parent.test is node

    def _lines(self, node: cst.CSTNode) -> tuple[int, int]:
        """The lines of the simple statement around a node, or of the head it stands in."""
        own = self.get_metadata(PositionProvider, node)
        around: cst.CSTNode = node
        while not isinstance(around, cst.Module):
            if isinstance(around, cst.SimpleStatementLine):
                whole = self.get_metadata(PositionProvider, around)
                return whole.start.line, whole.end.line
            if isinstance(around, cst.BaseCompoundStatement):
                break
            around = self.get_metadata(ParentNodeProvider, around)
        return own.start.line, own.end.line


def _without_values(call: cst.Call) -> Iterator[cst.Call]:
    """An error without one of the values that it is given; of a line of the log, nothing."""
    if m.matches(call, _LOG):
        return
    for at, argument in enumerate(call.args):
        if not argument.star and not m.matches(argument.value, _TEXT | m.Name("None")):
            without = argument.with_changes(value=cst.Name("None"))
            yield call.with_changes(args=[*call.args[:at], without, *call.args[at + 1 :]])


def _bare(node: cst.CSTNode, replacement: cst.CSTNode) -> cst.CSTNode:
    """A replacement without the parentheses that stand around the node already."""
    if getattr(node, "lpar", ()) and getattr(replacement, "lpar", ()):
        return replacement.with_changes(lpar=[], rpar=[])
    return replacement


def _negated(test: cst.BaseExpression) -> cst.BaseExpression:
    if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
        return test.expression
    whole = test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return cst.UnaryOperation(operator=cst.Not(), expression=whole)
