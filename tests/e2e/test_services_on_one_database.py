"""Two services on one database, as on two machines: same people, same values, one budget."""

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.postgres import PostgresServer
from support.process import server

TODAY = datetime.now(UTC).date()
DAY = TODAY - timedelta(days=2)
EXACT = {
    "MECHANISM_DAU": "laplace",
    "EPSILON_DAU": "1e6",
    "DAU_BUDGET_TOTAL": "4e6",
    "HASH_SALT_SECRET": "a secret that all services have",
    "LATENESS_HOURS": "0",
    "STORE_BUSY_SECONDS": "2",
}


def events(*user_ids: str, op: str = "+") -> dict[str, Any]:
    return {"events": [{"user_id": user, "op": op, "day": str(DAY)} for user in user_ids]}


@pytest.mark.slow
def test_what_one_service_takes_in_another_counts_publishes_and_erases(
    tmp_path: Path, database: str
) -> None:
    settings = {**EXACT, "SERVICE_DATABASE_URL": database}
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    with server(folders[0], **settings) as first, server(folders[1], **settings) as second:
        with httpx.Client(base_url=first.url) as one, httpx.Client(base_url=second.url) as two:
            assert one.post("/event", json=events("ada", "bob", "eve")).status_code == 200
            assert two.post("/event", json=events("joe", "ada")).status_code == 200
            assert two.post("/event", json=events("eve", op="-")).status_code == 200
            values = [each.get(f"/dau/{DAY}").json() for each in (one, two, one)]
            assert [each["estimate"] for each in values] == [3, 3, 3]
            assert len({each["release_id"] for each in values}) == 1
            erased = two.post("/erasure", json={"user_ids": ["bob", "joe"]})
            state = one.get(f"/erasure/{erased.json()['erasure_id']}").json()["state"]
            assert state == "done"
            assert one.post("/revise", json={"metric": "dau", "day": str(DAY)}).status_code == 200
            assert two.get(f"/dau/{DAY}").json()["estimate"] == 1
            spent = [each.get("/budget/dau").json()["epsilon_spent"] for each in (one, two)]
            assert spent[0] == spent[1] > 0
            assert one.get("/ledger/verify").json()["rows"] == 2
        assert first.stop(signal.SIGTERM) == 0


@pytest.mark.slow
def test_a_service_survives_its_server_and_says_what_is_wrong_meanwhile(
    tmp_path: Path, database: str, database_server: PostgresServer
) -> None:
    settings = {**EXACT, "SERVICE_DATABASE_URL": database}
    with server(tmp_path, **settings) as running, httpx.Client(base_url=running.url) as client:
        assert client.post("/event", json=events("ada")).status_code == 200
        database_server.stop("immediate")
        try:
            refused = client.post("/event", json=events("bob"), timeout=60)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
            assert refused.json()["type"].endswith("store-unreachable")
            assert client.get("/readyz", timeout=60).status_code == 503
        finally:
            database_server.start()
        # The pool looks for the server now and then, so the first may still be turned away.
        answers = (client.post("/event", json=events("eve"), timeout=60) for _ in range(60))
        assert any(answer.status_code == 200 for answer in answers)
        assert client.get(f"/dau/{DAY}", timeout=60).json()["estimate"] == 2
        assert running.stop(signal.SIGTERM) == 0
    assert "Traceback" not in "".join(running.log)
