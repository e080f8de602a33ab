"""The commands of the documents, run as they stand there, page by page."""

import re
import shutil
from pathlib import Path

import pytest

from support.documents import (
    blocks,
    carry_out,
    make_targets_of,
    reasons_not_to_run,
    script_of,
)

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))
}
WITH_COMMANDS = [
    name for name, text in PAGES.items() if script_of(text).strip() and name != "docs/cli.md"
]
"""The reference's examples are run by `tests/integration/cli/test_reference.py`."""

FROM_NOTHING = {"README.md", "docs/quickstart.md", "docs/tutorial.md"}
"""Whoever reads these has installed the program, and no more."""

IN_USE = {"RETENTION_DAYS": "36500", "LATENESS_HOURS": "0"}
"""Under these the days that documents have for examples are closed, and retained for ever."""

A_STORE = """
dpdau generate-synthetic --days 90 --daily-users 50 --end 2026-11-26 --out events.jsonl
dpdau ingest --from events.jsonl
dpdau publish --from 2026-10-25 --through 2026-11-20
dpdau erase user-000001 --json > example.json
"""
"""What all other pages take for granted: a store that has been in use."""

AN_ERASURE = "9f2c41d07be85a3611c0d4e2a7f3b685"
A_BACKUP = "data/backups/dpdau-20251120T020000Z.sqlite3"

GIVEN = {
    "docs/erasure.md": "printf 'bob\\neve\\n' > leaving.txt",
    "docs/how-to/docker.md": f"cp -r '{ROOT}/docker' docker",
    "docs/how-to/past-activity.md": """
        printf 'ada@example.com\\n' > erased-so-far.txt
        for month in september october; do
          dpdau generate-synthetic --days 30 --end 2026-10-31 --out visits-$month.csv
        done
        """,
    # An older store that was put back, with the newer copy of the ledger's head beside it.
    "docs/ledger.md": """
        cp data/dpdau.sqlite3 older.sqlite3
        dpdau revise dau 2026-11-19
        mv older.sqlite3 data/dpdau.sqlite3
        """,
    "docs/operations.md": f"dpdau backup && mv data/backups/*.sqlite3 {A_BACKUP}",
    "docs/sketches.md": "dpdau sketch export 2026-10-31 --window 30 --out october.theta",
}
"""What single pages take for granted besides."""

needs_curl_and_bash = pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("bash") is None,
    reason="the documents' lines are for bash, and use curl",
)


@pytest.fixture(scope="module")
def store_in_use(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store that has been in use for a while."""
    folder = tmp_path_factory.mktemp("in-use")
    result = carry_out(A_STORE, folder, IN_USE)
    assert result.returncode == 0, result.stderr
    shutil.rmtree(folder / ".venv")
    (folder / "tools").unlink()
    return folder


def test_blocks_of_shells_and_consoles_are_found_and_marked_ones_skipped() -> None:
    markdown = (
        "```sh\necho 1\n```\ntext\n```json\n{}\n```\n<!-- not run: no -->\n\n```sh\nexit 1\n```\n"
        "```console\n$ echo 2 \\\n  3\n2 3\n$ make run\n```\nSee `make demo`.\n"
        "1.  text\n\n    ```sh\n    echo 4\n    ```\n\n    <!-- not run -->\n    ```sh\n    ```\n"
    )

    assert list(blocks(markdown)) == ["echo 1\n", "echo 2 \\\n  3\nmake run\n", "echo 4\n"]
    assert script_of(markdown) == "echo 1\n\necho 2 \\\n  3\n\necho 4\n"
    assert make_targets_of(markdown) == {"run", "demo"}
    assert reasons_not_to_run(markdown) == ["no", ""]
    assert script_of(f"{markdown}\n<!-- nothing here is run: no -->\n") == "\n"


@pytest.mark.parametrize("name", PAGES)
def test_what_is_not_run_has_a_reason(name: str) -> None:
    assert all(reasons_not_to_run(PAGES[name]))


@pytest.mark.parametrize("name", PAGES)
def test_every_make_target_that_is_named_exists(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    existing = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))

    assert make_targets_of(PAGES[name]) <= existing


@needs_curl_and_bash
@pytest.mark.parametrize(
    "line",
    ["false", "true | false", "curl -s http://127.0.0.1:8000/no-such-route", "dpdau dau tomorrow"],
)
def test_a_command_that_fails_is_noticed(line: str, tmp_path: Path) -> None:
    result = carry_out(f"true\n{line}\ntrue\n", tmp_path)

    assert result.returncode != 0
    assert "failed: " in result.stderr


@needs_curl_and_bash
@pytest.mark.parametrize("name", [name for name in WITH_COMMANDS if name in FROM_NOTHING])
def test_every_command_succeeds_from_nothing(name: str, tmp_path: Path) -> None:
    result = carry_out(script_of(PAGES[name]), tmp_path)

    assert result.returncode == 0, result.stderr + result.stdout


@needs_curl_and_bash
@pytest.mark.parametrize("name", [name for name in WITH_COMMANDS if name not in FROM_NOTHING])
def test_every_command_succeeds_on_a_store_in_use(
    name: str, tmp_path: Path, store_in_use: Path
) -> None:
    folder = shutil.copytree(store_in_use, tmp_path / "folder")
    script = GIVEN.get(name, "") + "\n" + script_of(PAGES[name])
    erasure = re.search(r'"erasure_id": "(\w+)"', (folder / "example.json").read_text())
    assert erasure
    (folder / "other").mkdir()
    script = script.replace(AN_ERASURE, erasure[1]).replace("/mnt/other", "other")
    if "check.py" in script:
        (folder / "check.py").write_text(
            re.findall(r"```python\n(.*?)```", PAGES[name], re.DOTALL)[0]
        )

    result = carry_out(script, folder, IN_USE)

    assert result.returncode == 0, result.stderr + result.stdout
