"""The commands of README.md, run as they stand there."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dpdau.config import load_settings
from support.command_line import serving

ROOT = Path(__file__).parents[2]
SKIPPED = "<!-- not run -->"
ADDRESS_IN_README = re.compile(r"http://(?:127\.0\.0\.1|localhost):8000\b")
FENCE = re.compile(
    r"^(?P<fence>`{3,})(?P<language>\w*)[^\n]*\n(?P<content>.*?)^(?P=fence) *$",
    re.DOTALL | re.MULTILINE,
)

# curl does not fail on an HTTP error by itself.
PRELUDE = """
set -eEu -o pipefail
trap 'echo "failed: $BASH_COMMAND" >&2' ERR
curl() { command curl --fail-with-body "$@"; }
"""


needs_curl_and_bash = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("bash") is None,
    reason="README's lines are for bash, and use curl",
)


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Run commands until one fails."""
    return subprocess.run(  # noqa: S603 - the document under test
        ["bash", "-c", PRELUDE + script],  # noqa: S607 - the shell of whoever reads it
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )


def blocks(markdown: str) -> Iterator[str]:
    """The commands of every block of a shell or console, without prompts and output."""
    for match in FENCE.finditer(markdown):
        if markdown[: match.start()].rstrip().endswith(SKIPPED):
            continue
        if match["language"] in {"sh", "bash", "shell"}:
            yield match["content"]
        elif match["language"] == "console":
            yield typed(match["content"])


def typed(console: str) -> str:
    """What was typed at the prompts of a console, with continued lines."""
    kept = []
    continued = False
    for line in console.splitlines(keepends=True):
        if continued or line.startswith("$ "):
            kept.append(line if continued else line.removeprefix("$ "))
            continued = line.rstrip("\n").endswith("\\")
    return "".join(kept)


def is_make(line: str) -> bool:
    return line.split()[:1] == ["make"]


def script_of(markdown: str) -> str:
    """All commands but those of make, in order."""
    lines = "\n".join(blocks(markdown)).splitlines()
    return "\n".join(line for line in lines if not is_make(line)) + "\n"


def make_targets_of(markdown: str) -> set[str]:
    """What make is asked for, in blocks and within sentences."""
    lines = [line for block in blocks(markdown) for line in block.splitlines() if is_make(line)]
    return {line.split()[1] for line in lines} | set(re.findall(r"`make (\w+)`", markdown))


def test_blocks_of_shells_and_consoles_are_found_and_marked_ones_skipped() -> None:
    markdown = (
        "```sh\necho 1\n```\ntext\n```json\n{}\n```\n<!-- not run -->\n\n```sh\nexit 1\n```\n"
        "```console\n$ echo 2 \\\n  3\n2 3\n$ make run\n```\nSee `make demo`.\n"
    )

    assert list(blocks(markdown)) == ["echo 1\n", "echo 2 \\\n  3\nmake run\n"]
    assert script_of(markdown) == "echo 1\n\necho 2 \\\n  3\n"
    assert make_targets_of(markdown) == {"run", "demo"}


def test_every_make_target_that_is_named_exists() -> None:
    named = make_targets_of((ROOT / "README.md").read_text(encoding="utf-8"))
    existing = set(
        re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )

    assert {"run", "test", "demo"} <= named <= existing


@needs_curl_and_bash
@pytest.mark.parametrize("line", ["false", "true | false", "curl -s {url}/no-such-route"])
def test_a_command_that_fails_is_noticed(line: str, tmp_path: Path) -> None:
    with capture_logs(), serving(load_settings(data_dir=tmp_path)) as url:
        result = run(f"true\n{line.format(url=url)}\ntrue\n")

    assert result.returncode != 0
    assert "failed: " in result.stderr


@needs_curl_and_bash
def test_every_command_succeeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    program = tmp_path / ".venv" / "bin" / "dpdau"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dpdau "$@"\n')
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    script = script_of((ROOT / "README.md").read_text(encoding="utf-8"))
    assert "curl" in script

    with capture_logs(), serving(load_settings()) as url:
        result = run(ADDRESS_IN_README.sub(url, script))

    assert result.returncode == 0, result.stderr + result.stdout
