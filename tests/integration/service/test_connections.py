"""Slow, surplus and malformed requests over real sockets."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from dpdau.service.connections import GuardedConnection
from dpdau.service.server import server_config
from support.live import Live, live_service
from support.service import Service
from support.wire import HOST, Said, Wire, said

SHORT = 0.3
LONG = 600.0
PUBLISH = b"POST /publish HTTP/1.1\r\n" + HOST
BUDGET = b"GET /budget HTTP/1.1\r\n" + HOST
WHOLE = BUDGET + b"\r\n"


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Live]]:
    with ExitStack() as opened:

        def start(**settings: Any) -> Live:
            given = {"head_seconds": LONG, "body_seconds": LONG, **settings}
            return opened.enter_context(live_service(tmp_path, **given))

        yield start


def problem(answer: Said, status: int, kind: str) -> dict[str, Any]:
    assert answer.statuses == [status], answer
    assert b"content-type: application/problem+json" in answer.content.lower()
    found: dict[str, Any] = json.loads(answer.body)
    assert (found["type"], found["status"]) == (kind, status)
    assert f"x-request-id: {found['request_id']}" in answer.content.decode().lower()
    return found


class TestSlowClients:
    @pytest.mark.parametrize("head", [b"G", BUDGET, BUDGET + b"X-Trickle: a"])
    def test_a_head_that_is_not_finished_is_answered_and_closed(
        self, serve: Callable[..., Live], head: bytes
    ) -> None:
        answer = said(serve(head_seconds=SHORT).url, head)
        found = problem(answer, 408, "request-timeout")
        assert "HEAD_SECONDS" in found["detail"]
        assert answer.is_closed

    def test_a_connection_that_says_nothing_is_closed(self, serve: Callable[..., Live]) -> None:
        assert said(serve(head_seconds=SHORT).url, b"") == Said(b"", is_closed=True)

    def test_empty_lines_buy_no_time(self, serve: Callable[..., Live]) -> None:
        with Wire(serve(head_seconds=SHORT).url) as wire:
            wire.send(WHOLE)
            assert wire.hear(enough=b"lifetime").statuses == [200]
            wire.send(b"\r\n")
            assert wire.hear().is_closed

    @pytest.mark.parametrize("path", [b"/publish", b"/event", b"/erasure"])
    @pytest.mark.parametrize(
        "body", [b"Content-Length: 9\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"]
    )
    def test_a_body_that_is_not_finished_is_answered_and_closed(
        self, serve: Callable[..., Live], path: bytes, body: bytes
    ) -> None:
        head = b"POST " + path + b" HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST
        answer = said(serve(body_seconds=SHORT).url, head + body)
        assert "BODY_SECONDS" in problem(answer, 408, "request-timeout")["detail"]
        assert answer.is_closed

    def test_only_a_body_that_has_not_arrived_is_read_against_the_clock(
        self, serve: Callable[..., Live], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        url = serve().url
        limited: list[float] = []

        def timeout(seconds: float) -> asyncio.Timeout:
            limited.append(seconds)
            return asyncio.timeouts.timeout(seconds)

        monkeypatch.setattr("dpdau.service.limits.asyncio.timeout", timeout)
        head = b"POST /event HTTP/1.1\r\nContent-Length: 13\r\n" + HOST + b"\r\n"
        with Wire(url) as wire:
            for pieces, limits in [((b'{"events":[]}',), []), ((b'{"events"', b":[]}"), [LONG])]:
                wire.send(head + pieces[0])
                if pieces[1:]:
                    assert wire.hear(SHORT).content == b""
                    wire.send(pieces[1])
                assert wire.hear(enough=b'"errors":[]}').statuses == [200]
                assert limited == limits

    def test_a_body_that_nobody_reads_buys_no_time(self, serve: Callable[..., Live]) -> None:
        answer = said(serve(body_seconds=SHORT).url, BUDGET + b"Content-Length: 9\r\n\r\n{")
        assert answer.statuses == [200]
        assert answer.is_closed

    def test_slow_senders_keep_nobody_else_from_being_answered(
        self, serve: Callable[..., Live]
    ) -> None:
        url = serve().url
        with ExitStack() as opened:
            for _ in range(20):
                wire = opened.enter_context(Wire(url))
                wire.send(PUBLISH + b"Content-Length: 9\r\n\r\n{")
            assert said(url, WHOLE, enough=b"lifetime").statuses == [200]

    def test_an_answer_that_is_not_taken_ends_its_connection(
        self, serve: Callable[..., Live]
    ) -> None:
        live = serve(body_seconds=SHORT)
        live.fill(days=19, daily_users=5)
        # Far more answers than the system keeps for a client that reads none.
        asked = b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"
        with Wire(live.url) as wire:
            sender = threading.Thread(target=wire.send, args=(asked * 2_000,))
            sender.start()
            sender.join(60)
            assert not sender.is_alive()
            assert wire.hear(60).is_closed

    def test_an_answer_that_is_taken_slowly_is_given_whole(
        self, serve: Callable[..., Live]
    ) -> None:
        url = serve().url
        count = 300
        asked = b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"
        with Wire(url) as wire:
            sender = threading.Thread(target=wire.send, args=(asked * count,))
            sender.start()
            # What other clients are told meanwhile shows that nobody waits for this one.
            assert said(url, WHOLE, enough=b"lifetime").statuses == [200]
            last = BUDGET + b"Connection: close\r\n\r\n"
            sender.join(60)
            wire.send(last)
            assert wire.hear(60).statuses == [200] * (count + 1)

    def test_a_request_that_takes_its_time_to_be_answered_is_not_hurried(
        self, serve: Callable[..., Live], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        live = serve(head_seconds=SHORT, body_seconds=SHORT)
        waited = threading.Event()

        def slow() -> None:
            waited.wait(3 * SHORT)

        monkeypatch.setattr(live.application.store, "check", slow)
        ready = b"GET /readyz HTTP/1.1\r\n" + HOST
        answer = said(live.url, ready + b"Content-Length: 9\r\n\r\n{", enough=b"ready")
        assert answer.statuses == [200]


class TestClientsThatSendNothingMore:
    def half_closed(self, url: str, content: bytes) -> Said:
        with Wire(url) as wire:
            wire.send(content)
            wire.socket.shutdown(socket.SHUT_WR)
            return wire.hear()

    @pytest.mark.parametrize("count", [1, 3])
    def test_what_was_sent_whole_is_answered_and_the_connection_closed(
        self, serve: Callable[..., Live], count: int
    ) -> None:
        answer = self.half_closed(serve().url, WHOLE * count)
        assert answer.statuses == [200] * count
        assert answer.is_closed

    def test_what_was_sent_whole_is_answered_though_more_was_begun(
        self, serve: Callable[..., Live]
    ) -> None:
        answer = self.half_closed(serve().url, WHOLE + BUDGET)
        assert answer.statuses == [200]
        assert answer.is_closed

    @pytest.mark.parametrize("content", [b"", BUDGET, PUBLISH + b"Content-Length: 9\r\n\r\n{"])
    def test_nothing_else_is_waited_for(self, serve: Callable[..., Live], content: bytes) -> None:
        with capture_logs() as logs:
            assert self.half_closed(serve().url, content) == Said(b"", is_closed=True)
        assert not [line for line in logs if line["log_level"] == "error"]


class TestPlaces:
    def test_connections_beyond_the_limit_are_told_to_try_again(
        self, serve: Callable[..., Live]
    ) -> None:
        url = serve(max_connections=2).url
        with Wire(url) as first, Wire(url) as second:
            for wire in (first, second):
                wire.send(WHOLE)
                assert wire.hear(enough=b"lifetime").statuses == [200]
            answer = said(url, WHOLE)
            found = problem(answer, 503, "too-many-at-once")
            assert "MAX_CONNECTIONS" in found["detail"]
            assert b"retry-after: 1" in answer.content.lower()
            assert answer.is_closed
            # Those who were there first have their places still.
            first.send(WHOLE)
            assert first.hear(enough=b"lifetime").statuses == [200]

    def test_far_beyond_it_there_is_no_answer(self, serve: Callable[..., Live]) -> None:
        url = serve(max_connections=1).url
        with ExitStack() as opened:
            wires = [opened.enter_context(Wire(url)) for _ in range(6)]
            wires[0].send(WHOLE)
            assert wires[0].hear(enough=b"lifetime").statuses == [200]
            assert wires[-1].hear() == Said(b"", is_closed=True)

    def test_requests_beyond_the_limit_are_told_to_try_again(
        self, serve: Callable[..., Live]
    ) -> None:
        live = serve(max_concurrent_requests=1)
        with Wire(live.url) as slow:
            slow.send(PUBLISH + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
            # The service asks for the body, so the request is in flight.
            assert b"100 Continue" in slow.hear(enough=b"\r\n\r\n").content
            found = problem(said(live.url, WHOLE), 503, "too-many-at-once")
            assert "MAX_CONCURRENT_REQUESTS" in found["detail"]
            assert httpx.get(f"{live.url}/healthz").status_code == 200
            slow.send(b"{}")
            assert slow.hear(enough=b"published").statuses == [200]
        assert said(live.url, WHOLE, enough=b"lifetime").statuses == [200]


class TestHeads:
    @pytest.mark.parametrize(
        "head",
        [
            BUDGET + b"".join(b"X-%d: a\r\n" % number for number in range(300)) + b"\r\n",
            BUDGET + b"X-Long: " + b"a" * 3_000 + b"\r\n\r\n",
            b"GET /" + b"a" * 3_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
            b"GET /budget?" + b"a" * 3_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
            BUDGET + b"X-Endless: " + b"a" * 3_000,
            b"GET /" + b"a" * 3_000,
        ],
        ids=["many", "long", "path", "query", "endless header", "endless path"],
    )
    def test_a_head_that_is_too_long_is_answered_and_closed(
        self, serve: Callable[..., Live], head: bytes
    ) -> None:
        answer = said(serve(max_head_bytes=2_048).url, head)
        assert "MAX_HEAD_BYTES" in problem(answer, 431, "head-too-large")["detail"]
        assert answer.is_closed

    def test_the_length_is_each_request_s_own(self, serve: Callable[..., Live]) -> None:
        asked = BUDGET + b"X-Long: " + b"a" * 1_500 + b"\r\n\r\n"
        answer = said(serve(max_head_bytes=2_048).url, asked * 3, seconds=1)
        assert answer.statuses == [200] * 3


class TestWhatIsNoRequest:
    @pytest.mark.parametrize(
        "content",
        [
            PUBLISH + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            PUBLISH + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
            PUBLISH + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
            PUBLISH + b"Content-Length: -1\r\n\r\n",
            PUBLISH + b"Content-Length: +2\r\n\r\n{}",
            PUBLISH + b"Content-Length : 2\r\n\r\n{}",
            PUBLISH + b"Content-Length: 99999999999999999999999999\r\n\r\n",
            PUBLISH + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            PUBLISH + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            PUBLISH + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n",
            PUBLISH + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
            BUDGET + b"X-A: 1\r\n X-B: 2\r\n\r\n",
            BUDGET + b"X-A: \x00\r\n\r\n",
            b"GET /budget HTTP/1.1\nHost: localhost\n\n",
            "GET /dau/é HTTP/1.1\r\n".encode() + HOST + b"\r\n",
            b"GET /budget\x00 HTTP/1.1\r\n" + HOST + b"\r\n",
            b"CONNECT attacker.example:80 HTTP/1.1\r\n" + HOST + b"\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\xff" * 100,
        ],
    )
    def test_it_is_refused_as_a_whole_and_the_connection_closed(
        self, serve: Callable[..., Live], content: bytes
    ) -> None:
        # What follows would be answered if the two sides disagreed where a request ends.
        answer = said(serve().url, content + WHOLE)
        problem(answer, 400, "malformed-request")
        assert answer.is_closed

    def test_a_fault_behind_an_answer_ends_the_connection_too(
        self, serve: Callable[..., Live]
    ) -> None:
        content = BUDGET + b"Transfer-Encoding: chunked\r\n\r\n"
        with Wire(serve().url) as wire:
            wire.send(content)
            first = wire.hear(enough=b"lifetime")
            wire.send(b"ZZ\r\n")
            rest = wire.hear()
        assert first.statuses == [200]
        assert rest.is_closed
        assert rest.statuses == [400]

    def test_a_request_for_which_there_is_no_memory_is_not_called_malformed(
        self, serve: Callable[..., Live], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_memory(*_: object) -> None:
            raise MemoryError

        live = serve()
        with monkeypatch.context() as patch:
            patch.setattr(GuardedConnection, "on_body", no_memory)
            answer = said(live.url, PUBLISH + b"Content-Length: 2\r\n\r\n{}")
        assert "smaller batches" in problem(answer, 503, "out-of-memory")["detail"]
        assert said(live.url, WHOLE, enough=b"lifetime").statuses == [200]

    @pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
    def test_no_other_protocol_is_spoken(self, serve: Callable[..., Live], protocol: bytes) -> None:
        asked = BUDGET + b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n"
        answer = said(serve(head_seconds=SHORT).url, asked, seconds=1)
        assert answer.statuses == [200]

    def test_what_was_sent_is_not_logged(self, serve: Callable[..., Live]) -> None:
        live = serve(head_seconds=SHORT, max_head_bytes=1_024)
        with capture_logs() as logs:
            said(live.url, b"GET /secret-name HTTP/1.1\r\nX-A: secret-name")
            said(live.url, b"secret-name\r\n\r\n")
            said(live.url, BUDGET + b"X-A: " + b"secret-name" * 200 + b"\r\n\r\n")
        assert [line["type"] for line in logs if line["event"] == "refused"] == [
            "request-timeout",
            "malformed-request",
        ]
        assert "secret" not in str(logs)
        counted = httpx.get(f"{live.url}/metrics").text
        for status in ("400", "408"):
            labels = f'{{method="OTHER",route="unmatched",status="{status}"}}'
            assert f"dp_requests_total{labels} 1.0" in counted


class TestProxies:
    def refused(self, live: Live, headers: list[dict[str, str]]) -> list[int]:
        return [httpx.get(f"{live.url}/budget", headers=each).status_code for each in headers]

    def test_nobody_is_believed_about_who_asks(self, serve: Callable[..., Live]) -> None:
        live = serve(rate_limit_per_minute=2)
        said_to_be = [{"X-Forwarded-For": f"192.0.2.{number}"} for number in range(3)]
        assert self.refused(live, said_to_be) == [200, 200, 429]

    def test_a_named_proxy_is(self, serve: Callable[..., Live]) -> None:
        live = serve(rate_limit_per_minute=2, trusted_proxies="127.0.0.0/8")
        said_to_be = [{"X-Forwarded-For": f"192.0.2.{number}"} for number in range(3)]
        assert self.refused(live, said_to_be) == [200] * 3
        # What a client writes itself stands before what the proxy adds.
        spoofed = [{"X-Forwarded-For": f"198.51.100.{n}, 192.0.2.9"} for n in range(3)]
        assert self.refused(live, spoofed) == [200, 200, 429]

    def test_the_environment_of_the_server_library_trusts_nobody(
        self, open_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
        service = open_service()
        config = server_config(service.app, service.configured)
        assert (config.proxy_headers, config.forwarded_allow_ips) == (False, [])
