"""Who asks about whom, and with which key, shows in no log, no metric and no list of processes."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.command_line import Result
from support.process import Server, server

PERSON = "ada-hush-hush"
SALT = "hush-for-all-pseudonyms"
KEYS = {
    "SERVICE_API_KEY": "hush-key-of-the-service",
    "INGEST_API_KEY": "hush-key-of-ingestion",
    "READ_API_KEY": "hush-key-of-the-readers",
    "ADMIN_API_KEY": "hush-key-of-the-admins",
}
SETTINGS = {**KEYS, "HASH_SALT_SECRET": SALT, "LOG_LEVEL": "debug", "LATENESS_HOURS": "0"}
WRONG_KEY = "not-the-hush-key-at-all"
TELLTALE = "hush"
"""Part of everything that nobody else may see."""
DAY = (datetime.now(UTC) - timedelta(days=2)).date()
PARTS = {
    "day": PERSON,
    "metric": PERSON,
    "period": PERSON,
    "erasure_id": PERSON,
    "release_id": PERSON,
}
BODIES: list[Any] = [
    {"events": [{"user_id": PERSON, "op": "+", "day": str(DAY)}]},
    {"events": [{"user_id": PERSON, "op": PERSON, "day": PERSON, PERSON: PERSON}]},
    {"user_id": PERSON},
    {"user_id": PERSON * 30},
    {"user_ids": [PERSON, PERSON * 30]},
    {PERSON: PERSON},
    {"through": PERSON, "metric": PERSON, "day": PERSON, "who": PERSON, "why": PERSON},
    [PERSON],
    PERSON,
]


def walk(client: httpx.Client) -> Iterator[httpx.Response]:
    """Every route, with a person's id wherever one can be put."""
    paths = client.get("/openapi.json").json()["paths"]
    for template, operations in paths.items():
        path = template.format(**PARTS)
        for method in operations:
            query = {"user_id": PERSON, "window": PERSON, "end": PERSON}
            yield client.request(method, path, params=query)
            if method == "post":
                for body in BODIES:
                    yield client.post(path, json=body, headers={"Idempotency-Key": PERSON})
                yield client.post(path, content=PERSON, headers={"Content-Type": PERSON})
                yield client.post(path, content=f"user_id,op,day\n{PERSON},{PERSON},{PERSON}\n")
    yield client.get(f"/{PERSON}")
    yield client.request(PERSON.upper(), f"/{PERSON}")


def visible(running: Server) -> str:
    """What other users of the machine see of the process."""
    return Path(f"/proc/{running.process.pid}/cmdline").read_text()


def test_a_service_tells_of_no_one_and_no_key(tmp_path: Path) -> None:
    headers = {"X-API-Key": KEYS["SERVICE_API_KEY"], "User-Agent": PERSON, "Referer": PERSON}
    with server(tmp_path, **SETTINGS) as running:
        with httpx.Client(base_url=running.url, headers=headers, timeout=60) as client:
            answers = [answer.status_code for answer in walk(client)]
            assert {200, 400, 404, 422} <= set(answers)
            assert not [status for status in answers if status >= 500]
            told = client.get("/metrics").text + client.get("/operations").text
            told += client.get("/ledger").text + client.get("/rekey").text
            for key in (WRONG_KEY, f"{KEYS['READ_API_KEY']}-and-more"):
                refused = client.get("/budget", headers={"X-API-Key": key})
                assert refused.status_code == 401
                told += refused.text
        seen = visible(running)
        assert running.stop(signal.SIGTERM) == 0
    logged = "".join(running.log)
    assert "route=/erasure " in logged
    assert "route=unmatched" in logged
    for text in (logged, told, seen):
        assert TELLTALE not in text.lower()
    assert "127.0.0.1" not in logged.replace(running.url, "")


def test_a_fault_tells_of_no_key_either(tmp_path: Path) -> None:
    (tmp_path / "dpdau.sqlite3").write_text("no database at all, but a text of some length" * 99)
    finished = command(tmp_path, "serve")
    assert finished.code == 10
    assert TELLTALE not in finished.out + finished.err


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_doctor_tells_no_secret(tmp_path: Path, form: list[str]) -> None:
    assert command(tmp_path, "publish").code == 0
    found = command(tmp_path, "doctor", *form)
    assert "HASH_SALT_SECRET is set" in found.out
    assert TELLTALE not in found.out + found.err


def test_commands_repeat_no_id(tmp_path: Path) -> None:
    broken = tmp_path / "events.jsonl"
    broken.write_text(json.dumps({"user_id": PERSON, "op": PERSON, "day": PERSON}) + "\n")
    results = [
        command(tmp_path, "ingest", "--from", str(broken)),
        command(tmp_path, "erase", PERSON),
        command(tmp_path, "erase", PERSON, "--json", "--request-key", PERSON),
        command(tmp_path, "erase", PERSON * 30),
        command(tmp_path, "erasure", "none", "--receipt"),
        command(tmp_path, "ledger", "--json"),
        command(tmp_path, "rekey", "--status"),
    ]
    assert [result.code for result in results] == [3, 0, 0, 3, 7, 0, 0]
    shown = "".join(result.out + result.err for result in results)
    assert TELLTALE not in shown


def command(folder: Path, *arguments: str, **settings: str) -> Result:
    done = subprocess.run(  # noqa: S603 - the program under test
        [sys.executable, "-m", "dpdau", *arguments],
        env={**SETTINGS, "DATA_DIR": str(folder), **settings},
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Result(done.returncode, done.stdout, done.stderr)
