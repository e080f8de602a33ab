"""Check that every `{{NAME}}` in the documents names a setting; see `docs/Placeholders.md`."""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from dpdau.config import describe_settings

ROOT = Path(__file__).parents[1]

_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_FOLDERS = ("docs", "src", "bench", "tests", "tools")


def documents(root: Path) -> Iterator[Path]:
    """The Markdown files of a checkout: beside its README, and in the folders it is made of."""
    yield from sorted(root.glob("*.md"))
    for folder in _FOLDERS:
        yield from sorted((root / folder).rglob("*.md"))


def unknown_placeholders(text: str, names: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Placeholders that name no setting: the line, counted from 1, and the name."""
    known = frozenset(names)
    for number, line in enumerate(text.splitlines(), start=1):
        for name in _PLACEHOLDER.findall(line):
            if name not in known:
                yield number, name


def main(root: Path = ROOT) -> int:
    """Run the command; returns its exit code."""
    names = [setting.name for setting in describe_settings()]
    problems = [
        f"{path.relative_to(root)}:{number}: {{{{{name}}}}} names no setting"
        for path in documents(root)
        for number, name in unknown_placeholders(path.read_text(encoding="utf-8"), names)
    ]
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
