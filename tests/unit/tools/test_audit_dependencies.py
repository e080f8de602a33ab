import subprocess
from pathlib import Path
from typing import Any

import pytest

import audit_dependencies
from audit_dependencies import IGNORED, PINNED, main, read_pins


def known(name: str, *vulnerabilities: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": list(vulnerabilities)}


def vulnerability(identifier: str, *aliases: str) -> dict[str, Any]:
    return {"id": identifier, "fix_versions": ["1.1"], "aliases": list(aliases)}


def unknown(name: str) -> dict[str, Any]:
    return {"name": name, "skip_reason": "Dependency not found on PyPI"}


def report(*packages: dict[str, Any]) -> Any:
    return lambda _: {"dependencies": list(packages)}


def test_a_known_vulnerability_fails(capsys: pytest.CaptureFixture[str]) -> None:
    found = report(known("good"), known("bad", vulnerability("PYSEC-1", "CVE-1")))
    assert main([], found) == 1
    shown = capsys.readouterr()
    assert shown.err == "Vulnerable: bad 1.0: PYSEC-1 CVE-1; fixed in 1.1\n"
    assert shown.out == "2 dependencies checked, 1 vulnerabilities.\n"


def test_without_one_it_passes_and_says_how_many_it_looked_at(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([], report(known("good"), unknown("own"))) == 0
    assert capsys.readouterr().out == (
        "Not checked, since PyPI does not know them: own.\n"
        "1 dependencies checked, 0 vulnerabilities.\n"
    )


@pytest.mark.parametrize("answer", [lambda _: None, report(unknown("good"), unknown("bad"))])
def test_a_service_that_is_not_there_is_told_and_passes(
    capsys: pytest.CaptureFixture[str], answer: Any
) -> None:
    assert main([], answer) == 0
    assert "not checked: PyPI's vulnerability service is unreachable" in capsys.readouterr().out


def test_what_is_ignored_passes_under_any_of_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(IGNORED, "CVE-1", "the part that has it is not used")
    assert main([], report(known("bad", vulnerability("PYSEC-1", "CVE-1")))) == 0
    assert main([], report(known("bad", vulnerability("PYSEC-2", "CVE-2")))) == 1


def test_every_pinned_dependency_is_asked_about(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def ask(pins: list[str]) -> dict[str, Any]:
        asked.append(pins)
        return {"dependencies": [known("good")]}

    main([], ask)
    assert asked[-1] == read_pins(PINNED)
    assert {"uvicorn", "fastapi", "locust"} <= {pin.partition("==")[0] for pin in asked[-1]}
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# a comment\none==1.0  # via two\n    # via three\n-e .\n")
    assert read_pins([requirements]) == ["one==1.0"]


class TestPipAudit:
    """What is made of the program's ways to end."""

    def run(self, monkeypatch: pytest.MonkeyPatch, out: str, err: str) -> int:
        done = subprocess.CompletedProcess([], 1, out, err)
        monkeypatch.setattr(audit_dependencies.subprocess, "run", lambda *_, **__: done)
        return main([])

    def test_its_report_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        bad = '{"dependencies": [{"name": "bad", "version": "1", "vulns": [%s]}]}'
        one = '{"id": "PYSEC-1", "fix_versions": [], "aliases": []}'
        assert self.run(monkeypatch, bad % one, "Found 1 known vulnerability") == 1
        assert self.run(monkeypatch, bad % "", "") == 0

    def test_without_a_connection_nothing_is_checked(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.run(monkeypatch, "", "requests.exceptions.ConnectionError: refused") == 0
        assert "not checked" in capsys.readouterr().out

    def test_so_it_is_if_there_is_no_end(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def hang(*_: object, **__: object) -> None:
            raise subprocess.TimeoutExpired("pip-audit", 1)

        monkeypatch.setattr(audit_dependencies.subprocess, "run", hang)
        assert main([]) == 0
        assert "not checked" in capsys.readouterr().out

    def test_any_other_fault_is_no_pass(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(RuntimeError, match="No module named"):
            self.run(monkeypatch, "", "No module named pip_audit")
