import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from support.command_line import Run


def test_serve_answers_until_it_is_told_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOG_LEVEL", "error")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["serve", "--port", str(port), "--data-dir", str(tmp_path / "served")]
    process = subprocess.Popen(  # noqa: S603 - the program under test
        [sys.executable, "-m", "dpdau", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        transport = httpx.HTTPTransport(retries=20)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=transport) as client:
            assert client.get("/healthz").status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)

    assert code == 0
    assert (tmp_path / "served").is_dir()


def test_serve_refuses_the_world_without_keys(run: Run) -> None:
    result = run("serve", "--host", "0.0.0.0")  # noqa: S104 - it is refused

    assert result.code == 2
    assert "SERVICE_HOST" in result.err


def test_serve_names_an_address_that_is_taken(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = run("serve", "--port", port)

    assert result.code == 3
    assert f"Error: SERVICE_HOST:SERVICE_PORT is '127.0.0.1:{port}'" in result.err
