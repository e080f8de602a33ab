"""docs/logs.md has every line that the service writes, with its level and its fields."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dpdau
from dpdau.errors import StoreError
from dpdau.logs import described

PACKAGE = Path(dpdau.__file__).parent
REFERENCE = Path(__file__).parents[3] / "docs" / "logs.md"
# What `**described(error)` adds.
DESCRIBED = frozenset(described(StoreError("The disk is gone.")))


@dataclass(frozen=True)
class Line:
    event: str
    level: str
    fields: frozenset[str]


def written() -> Iterator[Line]:
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and ast.unparse(node.func.value) == "_log"
            ):
                event = ast.literal_eval(node.args[0])
                named = {each.arg for each in node.keywords if each.arg is not None}
                unpacked = [each for each in node.keywords if each.arg is None]
                fields = named | (DESCRIBED if unpacked else frozenset())
                yield Line(event, node.func.attr, frozenset(fields))


def documented() -> Iterator[Line]:
    rows = re.findall(
        r"^\| `([^`]+)` \| (\w+) \| (.*?) ?\| ", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE
    )
    for event, level, fields in rows:
        yield Line(event, level, frozenset(re.findall(r"`(\w+)`", fields)))


def test_every_line_is_documented_and_every_documented_line_is_written() -> None:
    lines = set(written())
    assert len(lines) > 15
    assert set(documented()) == lines


def test_an_event_has_one_level_and_one_set_of_fields() -> None:
    lines = set(written())
    assert len({line.event for line in lines}) == len(lines)
