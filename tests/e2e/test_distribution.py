"""What is installed from a wheel, outside of the repository, is the whole product."""

import ast
import hashlib
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_string
from importlib.metadata import packages_distributions
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import dpdau

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "dpdau"
NOT_OURS = shutil.ignore_patterns(".*", "build", "dist", "data", "*.egg-info", "__pycache__")
ASSET = re.compile(r'(?:src|href)="(/[^"]+)"')


@dataclass(frozen=True)
class Distributions:
    """What `make dist` makes, and the wheel that the source distribution makes."""

    wheel: Path
    source: Path
    wheel_of_source: Path

    @property
    def metadata(self) -> str:
        with zipfile.ZipFile(self.wheel) as wheel:
            (name,) = (each for each in wheel.namelist() if each.endswith(".dist-info/METADATA"))
            return wheel.read(name).decode()


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program that must succeed; gives what it prints."""
    result = subprocess.run(  # noqa: S603 - programs of this test
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False, timeout=240
    )
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout


def build(kind: str, tree: Path, folder: Path) -> Path:
    """Build one distribution with what is installed here, so without a network."""
    run(sys.executable, "-m", "build", "--no-isolation", kind, "--outdir", folder, tree, cwd=tree)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    folder = tmp_path_factory.mktemp("distributions")
    tree = shutil.copytree(ROOT, folder / "tree", ignore=NOT_OURS)
    shutil.copy(ROOT / ".dockerignore", tree)
    source = build("--sdist", tree, folder / "source")
    with tarfile.open(source) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return Distributions(
        wheel=build("--wheel", tree, folder / "wheel"),
        source=source,
        wheel_of_source=build("--wheel", unpacked, folder / "wheel-of-source"),
    )


@pytest.fixture(scope="module")
def program(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, installed from the wheel; its dependencies are those of this environment."""
    environment = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--no-index", "--no-deps", distributions.wheel, cwd=environment)
    # A folder that a .pth file names is not searched for further ones, such as that of an
    # installation that can be edited: dpdau itself comes from the wheel.
    purelib = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=environment
    )
    (Path(purelib.strip()) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = run(python, "-c", "import dpdau; print(dpdau.__file__)", cwd=environment)
    assert Path(where.strip()).is_relative_to(environment)
    return environment / "bin" / "dpdau"


def contents(wheel: Path) -> dict[str, str]:
    """The files of a wheel and their digests, but for the record of these."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if not name.endswith("/RECORD")
        }


def test_the_source_distribution_builds_the_same_wheel(distributions: Distributions) -> None:
    assert contents(distributions.wheel) == contents(distributions.wheel_of_source)


def test_the_wheel_has_every_file_of_the_package_and_nothing_else_of_the_repository(
    distributions: Distributions,
) -> None:
    expected = {
        str(path.relative_to(SOURCE.parent))
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    markdown = {name for name in expected if name.endswith(".md") and "vendor" not in name}
    names = {name for name in contents(distributions.wheel) if ".dist-info/" not in name}
    shared = {name.split("/data/share/dpdau/")[1] for name in names if ".data/" in name}

    assert {name for name in names if ".data/" not in name} == expected - markdown
    assert shared == {
        str(path.relative_to(ROOT / "deploy"))
        for folder in ("systemd", "sysusers.d", "caddy", "nginx")
        for path in (ROOT / "deploy" / folder).iterdir()
    }


def test_the_source_distribution_has_what_its_documents_speak_of(
    distributions: Distributions,
) -> None:
    with tarfile.open(distributions.source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    for name in (
        "docs/tutorial.md",
        "docker/Dockerfile",
        ".dockerignore",
        "mkdocs.yml",
        "Makefile",
    ):
        assert name in names
    assert not [name for name in names if name.endswith((".env", ".pyc"))]


def test_every_library_that_is_imported_is_declared(distributions: Distributions) -> None:
    requirements = message_from_string(distributions.metadata).get_all("Requires-Dist") or []

    def named(extra: str) -> set[str]:
        return {
            canonicalize_name(each.name)
            for each in map(Requirement, requirements)
            if each.marker is None or each.marker.evaluate({"extra": extra})
        }

    providers = packages_distributions()
    for path in SOURCE.rglob("*.py"):
        extras = {"streams": "broker", "postgres": "postgres", "spark": "spark"}
        declared = named(extras.get(path.parent.name, ""))
        for module in imported(path) - sys.stdlib_module_names - {"dpdau"}:
            assert {canonicalize_name(each) for each in providers[module]} & declared, (
                f"{path}: {module}"
            )


def imported(path: Path) -> set[str]:
    """The outermost packages that a module imports, at any place."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).partition(".")[0])
    return found


def test_the_version_stands_in_one_place(distributions: Distributions, program: Path) -> None:
    declared = re.findall(
        r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )

    assert declared == [dpdau.__version__]
    assert f"\nVersion: {declared[0]}\n" in distributions.metadata
    assert run(program, "--version", cwd=program.parent) == f"{declared[0]}\n"


@contextmanager
def serving(program: Path, folder: Path) -> Iterator[str]:
    """The service as a process in an empty folder; it must end by itself when it is told to."""
    process = subprocess.Popen(  # noqa: S603 - the program under test
        [program, "serve", "--port", "0"], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        said = ""
        while (listening := re.search(r"running on (http://\S+)", said)) is None:
            line = process.stderr.readline()
            assert line, said
            said += line
        yield listening[1]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_the_installed_product_works_outside_of_the_repository(
    program: Path, tmp_path: Path
) -> None:
    day = (datetime.now(UTC) - timedelta(days=3)).date().isoformat()
    events = [{"user_id": f"user-{n}", "op": "+", "day": day} for n in range(100)]

    with serving(program, tmp_path) as url, httpx.Client(base_url=url) as client:
        page = client.get("/")
        assets = ASSET.findall(page.text)
        assert page.status_code == 200
        assert assets
        for asset in assets:
            answer = client.get(asset)
            assert answer.status_code == 200, asset
            assert answer.content, asset
        assert client.post("/event", json={"events": events}).json()["accepted"] == 100
        value = client.get(f"/dau/{day}").json()
        assert abs(value["estimate"] - 100) < 10 * value["std_error"]
        assert "dau" in run(program, "budget", "--url", url, cwd=tmp_path)

    assert "the newest" in run(program, "doctor", cwd=tmp_path)
