"""No line of the log, at any level, tells who anybody is."""

import json
import signal
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from dpdau.hashing import Pseudonymizer
from support.process import server

SECRET = "a secret that only this test knows"
SETTINGS = {
    "HASH_SALT_SECRET": SECRET,
    "LATENESS_HOURS": "0",
    "LOG_FORMAT": "json",
    "LOG_LEVEL": "debug",
    "SERVICE_API_KEY": "a-key-0123456789",
    "W_BOUND_MAU": "2",
}
TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
USERS = [f"whoever-{number}@example.org" for number in range(30)]
LONG = "whoever-" * 40


def event(user_id: object, day: object = YESTERDAY, **fields: object) -> dict[str, Any]:
    return {"user_id": user_id, "op": "+", "day": str(day), **fields}


def work(client: httpx.Client) -> None:
    """What the service does all day, and what it is asked that it cannot do."""

    def post(path: str, **content: Any) -> httpx.Response:
        return client.post(path, **content)

    everyone = [event(user) for user in USERS]
    assert post("/event", json={"events": everyone}).status_code == 200
    csv = "user_id,op,day\n" + "".join(f"{user},+,{YESTERDAY}\n" for user in USERS)
    assert post("/event", content=csv, headers={"Content-Type": "text/csv"}).status_code == 200
    bad = [
        event(LONG),
        event(USERS[0], "whoever-day"),
        event(USERS[1], op="whoever-op"),
        event(7, whoever=1),
    ]
    assert post("/event", json={"events": bad}).status_code == 422
    assert post("/event?partial=true", json={"events": [*everyone, *bad]}).status_code == 200
    leaving = event(USERS[2], op="-", scope="user")
    assert post("/event", json={"events": [leaving]}).status_code == 200
    assert post("/event", json={"events": [event(USERS[2])]}).status_code == 200
    for broken in ('{"whoever-', f'["{USERS[3]}"]', "\\xff"):
        assert post("/event", content=broken).status_code in {400, 422}
        assert post("/erasure", content=broken).status_code in {400, 422}
    key = {"Idempotency-Key": "whoever-key"}
    assert post("/erasure", json={"user_id": USERS[4]}, headers=key).status_code in {200, 202}
    assert post("/erasure", json={"user_id": USERS[5]}, headers=key).status_code == 422
    assert post("/erasure", json={"user_ids": [USERS[6], LONG]}).status_code == 422
    assert post("/erasure", json={"user_ids": USERS[7:9]}).status_code in {200, 202}
    read(client)


def read(client: httpx.Client) -> None:
    for path in (
        f"/dau/{YESTERDAY}",
        f"/mau?end={YESTERDAY}",
        f"/mau?end={YESTERDAY}&window=7&whoever={USERS[9]}",
        "/budget",
        "/ledger/verify",
        "/metrics",
        "/operations",
    ):
        assert client.get(path).status_code == 200
    for path, status in (
        (f"/erasure/{USERS[10]}", 404),
        (f"/{USERS[11]}", 404),
        (f"/dau/{USERS[12]}", 422),
    ):
        assert client.get(path).status_code == status
    unknown = {"X-API-Key": USERS[13], "X-Request-ID": f"{USERS[14]}!"}
    assert client.get("/budget", headers=unknown).status_code == 401


def fail(client: httpx.Client, data_dir: Path) -> None:
    """Requests that meet a store that another process has locked."""
    with closing(sqlite3.connect(data_dir / "dpdau.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = client.post("/event", json={"events": [event(USERS[15], TODAY)]})
        assert locked.status_code == 503
        assert client.post("/erasure", json={"user_id": USERS[16]}).status_code == 503


def identities() -> list[str]:
    """Ids, and pseudonyms in every notation that a program would choose."""
    found = ["whoever", SECRET, SETTINGS["SERVICE_API_KEY"]]
    for pseudonym in Pseudonymizer(SECRET).pseudonyms([*USERS, LONG]).tolist():
        signed = int.from_bytes(pseudonym.to_bytes(8, "big"), "big", signed=True)
        found += [str(pseudonym), str(signed), f"{pseudonym:016x}"]
        found.append(pseudonym.to_bytes(8, "little").hex())
    return found


def test_a_busy_day_at_debug_level_leaves_no_trace_of_anyone(tmp_path: Path) -> None:
    settings = SETTINGS | {"STORE_BUSY_SECONDS": "0.2"}
    with server(tmp_path, **settings) as running:
        headers = {"X-API-Key": SETTINGS["SERVICE_API_KEY"]}
        with httpx.Client(base_url=running.url, timeout=120, headers=headers) as client:
            work(client)
            fail(client, tmp_path)
        assert running.stop(signal.SIGTERM) == 0
    lines = [json.loads(line) for line in running.log]
    events = {line["event"] for line in lines}
    assert events >= {
        *("started", "stopping", "stopped", "request", "problem"),
        *("erasure", "upkeep", "ledger verified"),
    }
    assert {line["level"] for line in lines} >= {"debug", "info", "error"}
    assert all("request_id" in line for line in lines if line["event"] in {"request", "erasure"})
    logged = "".join(running.log).lower()
    assert [each for each in identities() if each in logged] == []


def test_an_identity_in_a_line_would_be_noticed() -> None:
    pseudonym = Pseudonymizer(SECRET).pseudonyms(USERS[:1]).tolist()[0]
    for line in (f"user={USERS[0]}", f"user={pseudonym}", f"user={pseudonym:#018x}"):
        assert [each for each in identities() if each in line]
