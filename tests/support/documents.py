"""The commands of documents, and a shell that carries them out as a reader would."""

import re
import shlex
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from socket import socket

__all__ = ["blocks", "carry_out", "make_targets_of", "reasons_not_to_run", "script_of"]

_ROOT = Path(__file__).parents[2]
_ADDRESS = re.compile(r"http://(?:127\.0\.0\.1|localhost):8000\b")
_NOT_RUN = re.compile(r"<!-- not run(?:: (?P<reason>[^>]+))? -->\s*\Z")
_NOTHING_RUN = re.compile(r"^<!-- nothing here is run: (?P<reason>[^>]+) -->$", re.MULTILINE)
_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<language>\w*)[^\n]*\n(?P<content>.*?)"
    r"^(?P=indent)(?P=fence) *$",
    re.DOTALL | re.MULTILINE,
)

# curl does not fail on an HTTP error by itself. The service runs beside what follows, in place of
# another terminal, and is stopped where a document says so: before a restore.
_PRELUDE = """
unset "${!COVERAGE_@}"  # coverage is measured elsewhere, and would double the time of each start
set -eEu -o pipefail
trap 'echo "failed: $BASH_COMMAND" >&2' ERR
trap stop_serving EXIT
serving=
curl() { command curl --fail-with-body "$@"; }
stop_serving() {
  if [ -n "$serving" ]; then kill "$serving"; wait "$serving" || true; serving=; fi
}
start_serving() {
  stop_serving
  : >serve.log
  SERVICE_PORT=$PORT command dpdau serve 2>>serve.log & serving=$!
  while read -r line; do
    case $line in *"running on"*) return ;; esac
  done < <(tail --lines +1 --follow --pid "$serving" serve.log)
  cat serve.log >&2
  return 1
}
dpdau() {
  case "${1-}" in
    serve) start_serving ;;
    restore) stop_serving; command dpdau "$@" ;;
    *) command dpdau "$@" ;;
  esac
}
"""


def blocks(markdown: str) -> Iterator[str]:
    """The commands of every block of a shell or console, without prompts and output.

    A block behind `<!-- not run: REASON -->` is left out, and so is all of a document that says
    `<!-- nothing here is run: REASON -->`.
    """
    if _NOTHING_RUN.search(markdown):
        return
    for match in _FENCE.finditer(markdown):
        if _NOT_RUN.search(markdown[: match.start()]):
            continue
        content = textwrap.dedent(match["content"])
        if match["language"] in {"sh", "bash", "shell"}:
            yield content
        elif match["language"] == "console":
            yield _typed(content)


def reasons_not_to_run(markdown: str) -> list[str]:
    """Why blocks are not run, empty where that is not said."""
    before = (markdown[: match.start()] for match in _FENCE.finditer(markdown))
    return [found["reason"] or "" for text in before if (found := _NOT_RUN.search(text))]


def script_of(markdown: str) -> str:
    """All commands but those of make, in order."""
    lines = "\n".join(blocks(markdown)).splitlines()
    return "\n".join(line for line in lines if not _is_make(line)) + "\n"


def make_targets_of(markdown: str) -> set[str]:
    """What make is asked for, in blocks and within sentences."""
    lines = [line for block in blocks(markdown) for line in block.splitlines() if _is_make(line)]
    return {line.split()[1] for line in lines} | set(re.findall(r"`make ([\w-]+)`", markdown))


def carry_out(
    script: str, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run commands in a folder, with the program installed, until one fails.

    A document's address of the service becomes that of a free port. If no command starts the
    service and some talk to it, it runs from the beginning.
    """
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if _ADDRESS.search(script) and "dpdau serve" not in script:
        script = "dpdau serve\n" + script
    given = {"PORT": str(port), **(environment or {})}
    exports = [f"export {name}={shlex.quote(value)}" for name, value in given.items()]
    exports.append(f"export PATH={shlex.quote(str(_install(folder)))}:$PATH")
    script = "\n".join([*exports, _PRELUDE, _ADDRESS.sub(f"http://127.0.0.1:{port}", script)])
    return subprocess.run(  # noqa: S603 - the document under test
        ["bash", "-c", script],  # noqa: S607 - the shell of whoever reads it
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        cwd=folder,
    )


def _install(folder: Path) -> Path:
    """Put the program where documents of a checkout expect it; gives the folder of programs."""
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    for name, line in {"dpdau": "-m dpdau", "python": "", "python3": ""}.items():
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {line} "$@"\n')
        program.chmod(stat.S_IRWXU)
    (folder / "tools").symlink_to(_ROOT / "tools")
    return programs


def _typed(console: str) -> str:
    """What was typed at the prompts of a console, with continued lines."""
    kept = []
    continued = False
    for line in console.splitlines(keepends=True):
        if continued or line.startswith("$ "):
            kept.append(line if continued else line.removeprefix("$ "))
            continued = line.rstrip("\n").endswith("\\")
    return "".join(kept)


def _is_make(line: str) -> bool:
    return line.split()[:1] == ["make"]
