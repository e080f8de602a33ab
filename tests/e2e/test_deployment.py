"""What runs the service elsewhere: the container, the units, the proxies.

No image is built here, since that needs Docker. What its files say is held to what exists, and the
commands in them are run.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from socket import socket

import pytest
import yaml
from structlog.testing import capture_logs

from dpdau.config import Settings, describe_settings, load_settings
from support.command_line import serving

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
SETTINGS = {setting.name: setting for setting in describe_settings()}
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
MOST_EXPOSED = {"dpdau.service": 1.5, "dpdau-backup.service": 1.0}

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None and not os.environ.get("CI"),  # noqa: TID251
    reason="units are verified by systemd-analyze, of the package systemd",
)


@dataclass(frozen=True)
class Instruction:
    name: str
    value: str


def instructions() -> list[Instruction]:
    """The Dockerfile's, with continued lines joined."""
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", lines)
    parts = (line.split(None, 1) for line in joined.splitlines() if line)
    return [Instruction(name, value) for name, value in parts]


def final_stage() -> list[Instruction]:
    found = instructions()
    last = max(index for index, each in enumerate(found) if each.name == "FROM")
    return found[last:]


def last(name: str) -> str:
    """The value of an instruction of which the last one counts."""
    return [each.value for each in final_stage() if each.name == name][-1]


def is_sent(path: str) -> bool:
    """Whether a file reaches the build, by the rules of .dockerignore, of which the last counts."""
    sent = True
    for line in IGNORED:
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and fnmatch(path.partition("/")[0], pattern):
            sent = line.startswith("!")
    return sent


def test_bases_have_a_tag_that_names_a_version() -> None:
    bases = [each.value.split()[0] for each in instructions() if each.name == "FROM"]

    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", bases[0])


def test_everything_that_is_copied_exists_and_is_sent_to_the_build() -> None:
    sources = [
        source
        for each in instructions()
        if each.name == "COPY" and "--from=" not in each.value
        for source in each.value.split()[:-1]
    ]

    assert {"src", "deploy", "requirements.txt"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert is_sent(source), source


@pytest.mark.parametrize("path", [".git", ".env", "data", "docker/dpdau.env", "tests"])
def test_neither_stores_nor_keys_are_sent_to_the_build(path: str) -> None:
    assert not is_sent(path)


def test_the_image_runs_as_nobody_in_particular_and_builds_nothing() -> None:
    assert int(last("USER")) > 0
    runs = " ".join(each.value for each in final_stage() if each.name == "RUN")
    assert not re.search(r"\b(apt-get|apk|pip|gcc|make)\b", runs)
    assert f"--uid {last('USER')} " in runs


def test_the_program_receives_signals_itself() -> None:
    assert json.loads(last("ENTRYPOINT")) == ["dpdau"]
    assert json.loads(last("CMD")) == ["serve"]
    assert last("STOPSIGNAL") == "SIGTERM"


def test_the_image_sets_settings_that_exist_and_keeps_its_store_in_the_volume() -> None:
    environment = dict(each.split("=", 1) for each in last("ENV").split())

    assert environment["DATA_DIR"] in json.loads(last("VOLUME"))
    assert set(environment) - {"PATH", "PYTHONDONTWRITEBYTECODE"} <= set(SETTINGS)
    assert last("EXPOSE") == environment["SERVICE_PORT"]


def test_the_health_check_tells_a_service_that_is_ready_from_none(tmp_path: Path) -> None:
    (command,) = re.findall(r"CMD (\[.*\])", last("HEALTHCHECK"))
    _, *arguments = json.loads(command)

    def check(url: str) -> int:
        asked = [each.replace("http://127.0.0.1:8000", url) for each in arguments]
        assert asked != arguments
        return subprocess.run(  # noqa: S603 - the command under test
            [sys.executable, *asked], check=False, capture_output=True, timeout=60
        ).returncode

    with capture_logs(), serving(load_settings(data_dir=tmp_path)) as url:
        assert check(url) == 0
    with socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert check(f"http://127.0.0.1:{unused.getsockname()[1]}") != 0


def compose() -> dict[str, object]:
    service: dict[str, object] = yaml.safe_load(
        (ROOT / "docker" / "compose.yaml").read_text(encoding="utf-8")
    )["services"]["dpdau"]
    return service


def test_the_composed_service_can_write_to_its_store_alone_and_gains_nothing() -> None:
    service = compose()

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["volumes"] == [f"data:{json.loads(last('VOLUME'))[0]}"]
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - of the container


def test_the_composed_service_is_built_here_and_reached_from_this_machine_only() -> None:
    service = compose()
    build = service["build"]
    assert isinstance(build, dict)
    context = (ROOT / "docker" / build["context"]).resolve()

    assert (context / build["dockerfile"]).is_file()
    assert service["ports"] == [f"127.0.0.1:${{DPDAU_PORT:-8000}}:{last('EXPOSE')}"]
    assert (ROOT / "docker" / f"{service['env_file']}.example").is_file()


@pytest.mark.parametrize("path", ["docker/dpdau.env.example", "deploy/systemd/dpdau.env.example"])
def test_example_settings_are_valid_once_keys_are_filled_in(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled = re.sub(
        r"^(\w+)=$",
        r"\1=\1-filled-in",
        (ROOT / path).read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
    (tmp_path / ".env").write_text(filled)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")

    settings = load_settings(service_host="0.0.0.0")  # noqa: S104 - as in a container

    assert settings.read_api_key is not None
    assert settings.read_api_key.get_secret_value() == "READ_API_KEY-filled-in"


@pytest.mark.parametrize("path", ["caddy/Caddyfile", "nginx/dpdau.conf"])
def test_proxies_let_through_what_the_service_takes(path: str) -> None:
    text = (ROOT / "deploy" / path).read_text(encoding="utf-8")
    (size,) = re.findall(r"(?:max_size|client_max_body_size) (\d+)", text)

    assert int(size) * 2**20 == int(SETTINGS["MAX_BODY_BYTES"].default or 0)
    assert f"127.0.0.1:{SETTINGS['SERVICE_PORT'].default}" in text


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units, with a program in them that exists on this machine."""
    for path in UNITS.glob("dpdau*.*er*"):
        text = path.read_text(encoding="utf-8")
        (tmp_path / path.name).write_text(text.replace("/opt/dpdau/bin/dpdau", "/bin/true"))
    return tmp_path


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a tool of the machine
        ["systemd-analyze", *map(str, arguments)],  # noqa: S607
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@needs_systemd
def test_systemd_understands_every_line_of_the_units(units: Path) -> None:
    files = sorted(units.iterdir())
    assert {file.name for file in files} == {
        "dpdau.service",
        "dpdau-backup.service",
        "dpdau-backup.timer",
    }

    result = analyze("verify", *files)

    assert (result.returncode, result.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_the_units_expose_little(service: Path, units: Path) -> None:
    result = analyze("security", "--offline=true", units / service.name)
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([\d.]+)", result.stdout)

    assert float(exposure) <= MOST_EXPOSED[service.name], result.stdout


@needs_systemd
def test_a_line_that_systemd_does_not_know_would_be_found(units: Path) -> None:
    unit = units / "dpdau.service"
    unit.write_text(unit.read_text().replace("NoNewPrivileges=", "NoNewPrivilege="))

    assert "NoNewPrivilege" in analyze("verify", unit).stderr


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.name)
def test_the_units_run_commands_that_exist(service: Path) -> None:
    (line,) = re.findall(
        r"^ExecStart=/opt/dpdau/bin/dpdau (.+)$", service.read_text(), re.MULTILINE
    )
    reference = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    command, *options = line.split()

    section = reference.partition(f"### `dpdau {command}`")[2].partition("\n### ")[0]
    assert section
    for option in options[::2]:
        assert f"| `{option} " in section
