import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dpdau.cli.local import LocalBackend
from support.command_line import Run
from support.other_servers import other_server

KEY = "a-key-of-sixteen-characters"


def test_settings_that_do_not_fit_are_named_one_a_line(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIMEZONE", "Mars/Olympus")
    monkeypatch.setenv("DELTA", "2")
    result = run("budget")

    assert result.code == 2
    assert "TIMEZONE is 'Mars/Olympus'" in result.err
    assert "DELTA is '2'" in result.err


@pytest.mark.parametrize("arguments", [["wau"], ["dau"], ["dau", "2025-01-01", "--no-such"], []])
def test_wrong_usage_shows_the_usage(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)

    assert result.code == 2
    assert "Usage: dpdau" in result.err + result.out


def test_another_data_directory_can_be_given(run: Run, tmp_path: Path) -> None:
    assert run("erase", "ada", "--data-dir", str(tmp_path / "other")).code == 0
    assert (tmp_path / "other").is_dir()
    assert not (tmp_path / "data").exists()


def test_a_data_directory_that_cannot_be_made_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("budget", "--data-dir", str(tmp_path / "file"))

    assert result.code == 10
    assert result.err.startswith("Error: ")


def test_a_server_that_is_not_there_has_its_own_exit_code(run: Run) -> None:
    result = run("budget", "--url", "http://127.0.0.1:1")

    assert result.code == 6
    assert "No answer from http://127.0.0.1:1" in result.err


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8000", "ftp://localhost", "", "http://", "http://[::1", "http://\n"]
)
def test_what_is_no_address_is_named(run: Run, address: str) -> None:
    result = run("budget", "--url", address)

    assert result.code == 3
    assert "--url" in result.err


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b"[]"), (502, b"<html>"), (500, b"{}"), (302, b"")],
)
@pytest.mark.parametrize("command", [["budget"], ["ledger", "--export", "-"]])
def test_an_answer_that_is_not_the_products_is_told(
    run: Run, status: int, body: bytes, command: list[str]
) -> None:
    with other_server() as server:
        server.status, server.body = status, body
        result = run(*command, "--url", server.url)

    assert result.code == 6
    assert str(status) in result.err


def test_a_server_with_keys_needs_one_with_the_scope(
    run: Run, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setenv("SERVICE_API_KEY", KEY)
    monkeypatch.setenv("READ_API_KEY", KEY[::-1])
    url = request.getfixturevalue("url")

    assert run("ledger", "--url", url).code == 0
    assert run("ledger", "--url", url, "--key", KEY[::-1]).code == 4
    assert run("ledger", "--export", "-", "--url", url, "--key", KEY[::-1]).code == 4
    monkeypatch.delenv("SERVICE_API_KEY")
    missing = run("ledger", "--url", url)
    assert missing.code == 4
    assert "needs an API key" in missing.err


def test_a_key_may_be_in_a_file(run: Run, tmp_path: Path, url: str) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")

    assert run("budget", "--url", url, "--key", f"@{file}").code == 0
    missing = run("budget", "--url", url, "--key", f"@{tmp_path / 'none'}")
    assert missing.code == 3
    assert str(tmp_path / "none") in missing.err
    file.write_text("ключ")
    unfit = run("budget", "--url", url, "--key", f"@{file}")
    assert unfit.code == 3
    assert "ключ" not in unfit.err


@pytest.mark.parametrize("key", ["ключ", "line\nbreak"])
def test_a_key_that_no_header_can_carry_is_named(run: Run, url: str, key: str) -> None:
    result = run("budget", "--url", url, "--key", key)

    assert result.code == 3
    assert "--key" in result.err
    assert key not in result.err


def test_an_interruption_ends_with_exit_code_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalBackend, "budgets", interrupted)
    result = run("budget")

    assert result.code == 130
    assert result.err == "Interrupted; what was done before stands.\n"


def command(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the program under test
        [sys.executable, "-m", "dpdau", *arguments],
        check=False,
        text=True,
        stderr=subprocess.PIPE,
        **options,  # type: ignore[call-overload]
    )


def test_the_program_starts_as_a_module() -> None:
    helped = command("--help", stdout=subprocess.PIPE)
    version = command("version", stdout=subprocess.PIPE)

    assert helped.returncode == version.returncode == 0
    assert "generate-synthetic" in helped.stdout
    assert version.stdout == "0.1.0\n"


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_closed_pipe_ends_the_command_quietly(form: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        result = command("version", *form, stdout=writer)
    finally:
        os.close(writer)

    assert result.returncode == 141
    assert result.stderr == ""


def test_letters_that_the_terminal_cannot_show_do_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    result = command("series", "ε", "--start", "2025-01-01", "--end", "2025-01-01")

    assert result.returncode == 3
    assert "There is no metric" in result.stderr


def test_problems_of_the_start_are_json_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELTA", "2")
    result = run("budget", "--json")

    assert result.code == 2
    assert json.loads(result.err)["type"] == "invalid-setting"
