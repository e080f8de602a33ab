"""Documents that are written from the code: writing one, or checking that it is fresh."""

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path

__all__ = ["write_or_check"]


def write_or_check(arguments: Sequence[str], description: str, path: Path, fresh: str) -> int:
    """Run the command of a generated document.

    Args:
        arguments: of the command line: nothing to write the document, `--check` to compare it.
        description: one line on the command.
        path: the document.
        fresh: what it should be.

    Returns:
        The exit code: 1 if the document was checked and is stale.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="change nothing, fail if stale")
    if not parser.parse_args(arguments).check:
        path.write_text(fresh, encoding="utf-8")
        return 0
    written = path.read_text(encoding="utf-8") if path.exists() else ""
    if written == fresh:
        return 0
    lines = difflib.unified_diff(
        written.splitlines(), fresh.splitlines(), "as written", "as it is", lineterm="", n=0
    )
    print(f"{path} is stale; run `make references`.", *lines, sep="\n")
    return 1
