"""The fuzzers in small: they run, and they find what was put there for them to find."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import fuzz_parsers
from dpdau.application import Application
from support.live import live_service

ROOT = Path(__file__).parents[2]
NEEDS_ATHERIS = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="atheris has no wheel for this platform or Python",
)


def fuzz_http(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(ROOT / "torture" / "fuzzing" / "fuzz_http.py"), *arguments],
        env={"PYTHONPATH": f"{ROOT / 'bench'}:{ROOT / 'torture'}", "COLUMNS": "120"},
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )


@NEEDS_ATHERIS
@pytest.mark.slow
def test_coverage_leads_to_a_planted_fault_which_its_bytes_show_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["planted", "--folder", str(tmp_path)]
    assert fuzz_parsers.main([*arguments, "--seconds", "120"]) == 1
    assert "KeyError: 'planted'" in capsys.readouterr().out
    (found,) = tmp_path.glob("planted-crash-*")
    assert found.read_bytes().startswith(b"dpdau")
    with pytest.raises(KeyError, match="planted"):
        fuzz_parsers.main([*arguments, "--input", str(found)])


@NEEDS_ATHERIS
@pytest.mark.slow
def test_a_sound_reader_passes_and_leaves_a_corpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["json", "--folder", str(tmp_path)]
    assert fuzz_parsers.main([*arguments, "--seconds", "1"]) == 0
    assert "none" in capsys.readouterr().out
    (learned, *_) = (tmp_path / "json").iterdir()
    assert fuzz_parsers.main([*arguments, "--input", str(learned)]) == 0


def test_an_unknown_target_is_named_with_those_that_are_known() -> None:
    with pytest.raises(SystemExit, match=r"Unknown: yaml\. Known targets: bodies, json"):
        fuzz_parsers.main(["yaml"])


def test_without_atheris_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert fuzz_parsers.main(["json"]) == 2
    assert "atheris is not installed" in capsys.readouterr().out


@pytest.mark.slow
def test_sound_services_pass_with_keys_and_without() -> None:
    fuzzed = fuzz_http("--seconds", "2")
    assert fuzzed.returncode == 0, fuzzed.stdout + fuzzed.stderr
    for title in ("without keys", "with keys"):
        assert f"{title}: 0 findings" in fuzzed.stdout
    assert "MiB in the second" in fuzzed.stdout


@pytest.mark.slow
def test_a_service_with_a_planted_fault_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def budget_totals(_: Application) -> None:
        raise KeyError("planted")

    monkeypatch.setattr(Application, "budget_totals", budget_totals)
    with live_service(tmp_path, rate_limit_per_minute=0) as live:
        # Long enough to ask every route, also beside other tests.
        fuzzed = fuzz_http("--seconds", "20", "--url", live.url)
    assert fuzzed.returncode == 1, fuzzed.stdout + fuzzed.stderr
    assert "FINDING: GET /budget answered 500" in fuzzed.stdout
