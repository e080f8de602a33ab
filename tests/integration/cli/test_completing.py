"""Completion in shells: each has a script, and what it asks for is answered."""

import shutil
from pathlib import Path

import pytest

from support.command_line import Run
from support.documents import carry_out

ASKED = {
    "bash": {"COMP_WORDS": "dpdau {}", "COMP_CWORD": "1"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "dpdau {}"},
    "fish": {"_TYPER_COMPLETE_ARGS": "dpdau {}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}
"""What the scripts hand over."""


@pytest.mark.parametrize("shell", ASKED)
def test_each_shell_has_a_script_that_asks_the_program(
    shell: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_DPDAU_COMPLETE", f"source_{shell}")

    script = run().out

    assert f"_DPDAU_COMPLETE=complete_{shell}" in script
    assert "dpdau" in script


@pytest.mark.parametrize("shell", ASKED)
def test_a_command_is_completed(shell: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_DPDAU_COMPLETE", f"complete_{shell}")
    for name, value in ASKED[shell].items():
        monkeypatch.setenv(name, value.format("pub"))

    answer = run().out

    assert "publish" in answer
    assert "ledger" not in answer


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    result = carry_out(
        """
        eval "$(_DPDAU_COMPLETE=source_bash dpdau)"
        COMP_WORDS=(dpdau pub) COMP_CWORD=1
        _dpdau_completion dpdau
        echo "${COMPREPLY[*]}"
        COMP_WORDS=(dpdau publish --th) COMP_CWORD=2
        _dpdau_completion dpdau
        echo "${COMPREPLY[*]}"
        """,
        tmp_path,
    )

    assert result.stdout.split() == ["publish", "--through"], result.stderr
