"""Clients that are slow, many, silent, or gone, over real sockets."""

import asyncio
import json
import resource
import socket
import struct
import time
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from _process import Installation
from support.installations import YESTERDAY, Visitor, installed, visited
from support.process import server
from support.wire import HOST, Wire

CLIENTS = 1_000
EVENTS = 5
TRIES = 200


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return installed(tmp_path)


def batch(*users: str, day: date = YESTERDAY) -> bytes:
    """A whole request that says that these people were active on a day."""
    events = [{"user_id": user, "op": "+", "day": str(day)} for user in users]
    body = json.dumps({"events": events}).encode()
    head = b"POST /event HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def send_until_acknowledged(url: str, request: bytes, told: Counter[str]) -> None:
    """Send a request on new connections until it is answered with 200."""
    host, _, port = url.removeprefix("http://").partition(":")
    for attempt in range(TRIES):
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(request)
                status = (await reader.readline()).partition(b" ")[2][:3].decode()
            finally:
                writer.close()
        except ConnectionError:
            status = ""
        told[status or "no answer"] += 1
        if status == "200":
            return
        await asyncio.sleep(min(0.05 * 2**attempt, 1))
    pytest.fail(f"not acknowledged after {TRIES} tries")


async def ask(client: httpx.AsyncClient, done: asyncio.Event) -> int:
    """Ask on, over one connection, while others crowd the service; gives how often it answered."""
    answered = 0
    while not done.is_set():
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get(f"/dau/{YESTERDAY}")).status_code in {200, 503}
        answered += 1
    return answered


def test_a_thousand_clients_at_once_are_all_served_in_the_end(installation: Installation) -> None:
    told: Counter[str] = Counter()

    async def crowd(url: str) -> int:
        done = asyncio.Event()
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            # Its connection is there before the crowd's.
            await client.get("/healthz")
            asking = asyncio.create_task(ask(client, done))
            async with asyncio.TaskGroup() as group:
                for number in range(CLIENTS):
                    users = (f"user-{number}-{each}" for each in range(EVENTS))
                    request = batch(*users, day=YESTERDAY - timedelta(days=1))
                    group.create_task(send_until_acknowledged(url, request, told))
            done.set()
            return await asking

    with visited(installation, MAX_CONNECTIONS="200") as (running, visitor):
        answered = asyncio.run(crowd(running.url))
        counted = visitor.dau(YESTERDAY - timedelta(days=1)).json()["estimate"]
        assert counted == CLIENTS * EVENTS
        assert running.stop() == 0
    assert answered >= 1
    assert told["200"] == CLIENTS
    assert set(told) <= {"200", "503", "no answer"}
    assert not [line for line in running.log if '"event": "fault"' in line]


def test_a_thousand_silent_connections_lose_their_places(installation: Installation) -> None:
    with visited(installation, HEAD_SECONDS="1") as (running, visitor):
        visitor.send("ada")
        with ExitStack() as opened:
            wires = [opened.enter_context(Wire(running.url)) for _ in range(CLIENTS)]
            # Those who were there keep their place, and whoever comes later waits for one.
            assert visitor.send("bob").status_code == 200
            assert all(wire.hear().is_closed for wire in wires)
            with Visitor(running.url) as other:
                assert other.send("eve").status_code == 200
        assert visitor.dau().json()["estimate"] == 3
        assert running.stop() == 0


def test_a_request_that_trickles_in_is_ended_and_stored_by_no_part(
    installation: Installation,
) -> None:
    with visited(installation, HEAD_SECONDS="0.5", BODY_SECONDS="0.5") as (running, visitor):
        request = batch("ada", "bob")
        for begun in (20, request.index(b"\r\n\r\n") + 10):
            with Wire(running.url) as wire:
                wire.send(request[:begun])
                deadline = time.monotonic() + 30
                for byte in request[begun:]:
                    wire.send(bytes([byte]))
                    if wire.hear(0.1).content:
                        break
                    assert time.monotonic() < deadline
            assert visitor.get("/healthz").status_code == 200
        assert visitor.metric("dp_events_accepted_total") == 0
        assert (
            visitor.metric('dp_requests_total{method="OTHER",route="unmatched",status="408"}') == 1
        )
        assert visitor.metric('dp_requests_total{method="POST",route="/event",status="408"}') == 1
        assert running.stop() == 0


def reset(wire: Wire) -> None:
    """End a connection as a cut cable does: at once, and with what was not read lost."""
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.socket.close()


def test_whoever_goes_away_or_says_no_more_leaves_no_half_of_a_batch(
    installation: Installation,
) -> None:
    with visited(installation) as (running, visitor):
        request = batch("ada", "bob")
        for cut in (10, len(request) // 2, len(request) - 1):
            with Wire(running.url) as wire:
                wire.send(request[:cut])
                reset(wire)
            with Wire(running.url) as wire:
                wire.send(request[:cut])
                wire.socket.shutdown(socket.SHUT_WR)
                assert wire.hear().content == b""
        assert visitor.metric("dp_events_accepted_total") == 0
        with Wire(running.url) as wire:
            # Several at once, and no more to come: each is answered, in its order.
            wire.send(batch("ada") + batch("bob") + b"GET /nowhere HTTP/1.1\r\n" + HOST + b"\r\n")
            wire.socket.shutdown(socket.SHUT_WR)
            assert wire.hear().statuses == [200, 200, 404]
        # Sent whole, and not waited for: as if the answer had been lost on its way.
        with Wire(running.url) as wire:
            wire.send(batch("eve", "dan"))
            reset(wire)
        counted = visitor.dau().json()["estimate"]
        assert counted in {2, 4}
        assert running.stop() == 0
    assert not [line for line in running.log if '"level": "error"' in line]


def test_a_service_that_may_open_no_more_files_says_so_and_recovers(tmp_path: Path) -> None:
    day = datetime.now(UTC).date() - timedelta(days=2)
    with server(tmp_path, LOG_FORMAT="json", RATE_LIMIT_PER_MINUTE="0") as running:
        with httpx.Client(base_url=running.url, timeout=60) as client, ExitStack() as opened:
            assert client.get("/readyz").status_code == 200
            pid = running.process.pid
            limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            in_use = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (in_use + 4, limits[1]))
            for _ in range(20):
                opened.enter_context(Wire(running.url))
            answers = [client.post("/erasure", json={"user_id": "ada"}) for _ in range(3)]
            answers += [client.post("/event", json=events(day)) for _ in range(3)]
            assert {answer.status_code for answer in answers} <= {200, 202, 503}, answers
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (in_use + 16, limits[1]))
        with httpx.Client(base_url=running.url, timeout=60) as client:
            assert client.post("/event", json=events(day)).status_code == 200
            assert client.post("/erasure", json={"user_id": "ada"}).json()["state"] == "done"
    assert not [line for line in running.log if '"event": "fault"' in line]


def events(day: date) -> dict[str, object]:
    return {"events": [{"user_id": "bob", "op": "+", "day": str(day)}]}
