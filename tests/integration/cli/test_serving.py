import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from dpdau.config import Settings
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


@pytest.mark.parametrize(("status", "code"), [(0, 0), (3, 3), (None, 0)])
def test_serve_tells_why_it_ended(
    run: Run, monkeypatch: pytest.MonkeyPatch, status: int | None, code: int
) -> None:
    served: list[Settings] = []

    def serve(settings: Settings) -> None:
        served.append(settings)
        if status is not None:
            sys.exit(status)

    monkeypatch.setattr("dpdau.service.serve", serve)
    result = run("serve", "--host", "::1", "--port", "8123", "--data-dir", "elsewhere")

    assert result.code == code
    assert ("Error: SERVICE_HOST:SERVICE_PORT is '::1:8123'" in result.err) is (code == 3)
    (settings,) = served
    assert (settings.service_host, settings.service_port) == ("::1", 8123)
    assert settings.data_dir == Path("elsewhere")
