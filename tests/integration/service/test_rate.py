from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpdau.errors import RateLimitedError
from dpdau.service.limits import RateLimiter
from support.service import Service, assert_problem


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def allowed(limiter: RateLimiter, client: str) -> bool:
    try:
        limiter.spend(client)
    except RateLimitedError:
        return False
    return True


@given(st.integers(1, 100), st.lists(st.floats(0, 30, allow_subnormal=False), max_size=200))
def test_no_minute_sees_more_than_two_minutes_worth(rate: int, pauses: list[float]) -> None:
    seconds = Seconds()
    limiter = RateLimiter(rate, clock=seconds)
    times = []
    for pause in pauses:
        seconds.now += pause
        if allowed(limiter, "ada"):
            times.append(seconds.now)
    for start in times:
        assert sum(start <= time < start + 60 for time in times) <= 2 * rate


def test_a_client_may_go_on_after_the_time_it_was_told() -> None:
    seconds = Seconds()
    limiter = RateLimiter(6, clock=seconds)
    assert [allowed(limiter, "ada") for _ in range(7)] == [True] * 6 + [False]
    assert allowed(limiter, "bob")
    seconds.now = 3
    with pytest.raises(RateLimitedError) as refused:
        limiter.spend("ada")
    assert refused.value.retry_after_seconds == 7
    seconds.now = 10
    assert [allowed(limiter, "ada") for _ in range(2)] == [True, False]


def test_no_limit_keeps_no_account() -> None:
    limiter = RateLimiter(0)
    assert all(allowed(limiter, "ada") for _ in range(1_000))
    assert len(limiter) == 0


def test_the_client_not_heard_of_for_longest_is_forgotten() -> None:
    limiter = RateLimiter(1, max_clients=2, clock=Seconds())
    assert allowed(limiter, "ada")
    assert allowed(limiter, "bob")
    assert not allowed(limiter, "ada")
    assert allowed(limiter, "eve")
    assert len(limiter) == 2
    assert not allowed(limiter, "ada")
    assert allowed(limiter, "bob")


def test_too_many_requests_are_a_problem_and_health_is_always_told(
    open_service: Callable[..., Service],
) -> None:
    service = open_service(rate_limit_per_minute=2)
    assert [service.client.get("/budget").status_code for _ in range(2)] == [200, 200]
    refused = service.client.get("/budget")
    assert assert_problem(refused, 429, "rate-limited")["limit_per_minute"] == 2
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert service.client.get("/healthz").status_code == 200
    assert service.client.get("/readyz").status_code == 200


def test_a_key_is_a_client_wherever_it_is_sent_from(open_service: Callable[..., Service]) -> None:
    keys = {"service_api_key": "service-key-0123456789", "read_api_key": "read-key-0123456789"}
    client = open_service(rate_limit_per_minute=2, **keys).client
    asked = [
        client.get("/budget", headers={"X-API-Key": key}).status_code
        for key in (*[keys["read_api_key"]] * 3, keys["service_api_key"])
    ]
    assert asked == [200, 200, 429, 200]
    bearer = {"Authorization": f"Bearer {keys['read_api_key']}"}
    assert client.get("/budget", headers=bearer).status_code == 429


def test_made_up_keys_make_no_new_clients(open_service: Callable[..., Service]) -> None:
    client = open_service(rate_limit_per_minute=2, read_api_key="read-key-0123456789").client
    asked = [
        client.get("/budget", headers={"X-API-Key": f"guess-{number}"}).status_code
        for number in range(4)
    ]
    assert asked == [401, 401, 429, 429]
