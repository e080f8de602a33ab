"""Hostile requests leave nothing behind in memory, however many they are."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice

import httpx
import pytest

from _hostile import HostileRequest, hostile_requests
from dpdau.formats import Decoded, EventRules
from dpdau.service.routes import events
from support.service import Service, operations

REQUESTS = 250
ROUNDS = 3
ALLOWED_KIBIBYTES = 100
URL = httpx.URL("http://localhost")


@pytest.fixture
def service(open_service: Callable[..., Service]) -> Service:
    return open_service(rate_limit_per_minute=0, retention_days=61)


def sent_by(service: Service) -> list[HostileRequest]:
    paths: dict[str, list[str]] = {}
    for method, path in operations(service):
        paths.setdefault(path, []).append(method)
    return list(islice(hostile_requests(paths, seed=1), REQUESTS))


def growth(service: Service, requests: list[HostileRequest], rounds: int) -> Iterator[float]:
    """By how many KiB Python's memory grew in each round of the same requests but the first two.

    Until then there is something new in them: modules, caches, what they store.
    """

    async def send(request: HostileRequest) -> None:
        with suppress(httpx.InvalidURL):
            answer = await service.client.client.send(request.to(URL))
            assert answer.status_code < 500, request

    tracemalloc.start()
    try:
        before = 0
        for number in range(rounds):
            for request in requests:
                service.client.portal.call(send, request)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
            if number > 1:
                yield (after - before) / 1024
            before = after
    finally:
        tracemalloc.stop()


def test_the_same_requests_again_and_again_take_no_more_memory(service: Service) -> None:
    grown = list(growth(service, sent_by(service), ROUNDS))
    assert min(grown) < ALLOWED_KIBIBYTES, grown


def test_a_body_that_is_kept_would_be_noticed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []
    decode = events.decode_body

    def leaking(content_type: str | None, body: bytes, rules: EventRules) -> Decoded:
        kept.append(body + bytes(1_000_000))
        return decode(content_type, body, rules)

    monkeypatch.setattr(events, "decode_body", leaking)
    requests = [each for each in sent_by(service) if each.operation == "POST /event"]
    grown = list(growth(service, requests, 3))
    assert len(kept) > 0
    assert min(grown) > ALLOWED_KIBIBYTES, grown
