"""The commands of docs/planning.md, run as they stand there, against the output shown there."""

import re
from pathlib import Path

import pytest

from support.builders import EXACT
from support.command_line import Run

GUIDE = (Path(__file__).parents[3] / "docs" / "planning.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"(?<!-->\n)^```console\n\$ dpdau (.*)\n((?:.*\n)*?)```$", GUIDE, re.MULTILINE)
WIDTH = 98


def test_the_guide_shows_plans() -> None:
    assert len(SHOWN) == 3


@pytest.mark.parametrize(("command", "output"), SHOWN)
def test_the_guide_shows_what_the_command_prints(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str, output: str
) -> None:
    for name in EXACT:
        monkeypatch.delenv(name.upper())
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    result = run(*command.split())

    assert result.code == 0, result.err
    assert [line.rstrip() for line in result.out.splitlines()] == output.splitlines()
