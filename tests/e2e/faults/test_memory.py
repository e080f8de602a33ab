"""Too little memory: what cannot be carried out is refused, and nothing of it is acknowledged."""

import gzip
import json
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from _process import Running
from support.installations import YESTERDAY, installed, told, visited

MEBIBYTE = 1 << 20
USERS = 60_000
KEY_BYTES = 200


def memory_of(running: Running) -> int:
    """How much address space the service takes, in bytes."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmSize:"))
    return int(line.split()[1]) * 1024


def leave(running: Running, spare: int | None) -> None:
    """Let the service have so much more memory, or as much as it likes."""
    soft = resource.RLIM_INFINITY if spare is None else memory_of(running) + spare
    limits = (soft, resource.RLIM_INFINITY)
    resource.prlimit(running.process.pid, resource.RLIMIT_AS, limits)


def lines(batch: int) -> bytes:
    """A batch as NDJSON, of people who are in no other."""
    return b"\n".join(
        json.dumps(
            {"user_id": f"{batch}-{user:0{KEY_BYTES}d}", "op": "+", "day": str(YESTERDAY)}
        ).encode()
        for user in range(USERS)
    )


def test_batches_beyond_the_memory_are_refused_and_the_service_lives_on(tmp_path: Path) -> None:
    installation = installed(tmp_path)
    with visited(installation) as (running, visitor):
        client = visitor.client

        def send(body: bytes) -> int:
            try:
                answer = client.post(
                    "/event", content=body, headers={"content-type": "application/x-ndjson"}
                )
            except httpx.TransportError:
                return 0
            if answer.status_code != 200:
                told(answer, 503, "out-of-memory")
                assert answer.headers["retry-after"] == "5"
            return answer.status_code

        assert send(lines(0)) == 200
        leave(running, 8 * MEBIBYTE)
        with ThreadPoolExecutor(4) as threads:
            statuses = list(threads.map(send, map(lines, range(1, 5))))
        assert 503 in statuses, statuses
        leave(running, None)
        assert send(lines(5)) == 200
        counted = visitor.dau().json()["estimate"]
        # Whole batches, and every one that was acknowledged.
        assert counted % USERS == 0
        assert counted // USERS >= 2 + statuses.count(200)
        assert visitor.get("/ledger/verify").json()["valid"] is True
        assert running.stop() == 0


def test_bodies_that_unpack_to_more_than_is_allowed_take_no_memory(tmp_path: Path) -> None:
    bomb = gzip.compress(b" " * (200 * MEBIBYTE), 1)
    with visited(installed(tmp_path)) as (running, visitor):
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        leave(running, 160 * MEBIBYTE)
        for _ in range(3):
            answer = visitor.client.post("/event", content=bomb, headers=headers)
            assert "MAX_BODY_BYTES" in told(answer, 413, "batch-too-large")
        deep = b'{"events":' + b"[" * (8 * MEBIBYTE)
        told(visitor.client.post("/event", content=deep), 400, "malformed-body")
        huge = b'{"events":[{"user_id":"ada","op":"+","ts":' + b"9" * (8 * MEBIBYTE) + b"}]}"
        told(visitor.client.post("/event", content=huge), 422, "events-refused")
        assert visitor.send("ada").status_code == 200
        assert running.stop() == 0
