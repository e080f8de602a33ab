import asyncio
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from dpdau.application import Application
from dpdau.errors import (
    BrokerRefusedError,
    DpdauError,
    StoreError,
    StoreFullError,
    WrongSecretError,
)
from dpdau.pipeline.positions import position_in
from dpdau.store import MemoryStore
from dpdau.streams.consumer import Consumer, Tally, pause_after
from support import Event, FakeClock, application
from support.streams import SECRET, ListFeed, active, as_json, expected, messages

TODAY = FakeClock().now.date()
USERS = ["ada", "grace"]
DAYS = [TODAY, TODAY - timedelta(days=1)]
JOINS = Event("ada", TODAY)
LEAVES = Event("ada", TODAY, add=False)
an_event = st.builds(
    Event, st.sampled_from(USERS), st.sampled_from(DAYS), st.booleans(), st.booleans()
)


@pytest.fixture
def app() -> Application:
    return open_application()


def open_application() -> Application:
    # Nothing is written there: the store is in memory.
    return application(Path("/tmp"), store=MemoryStore(), hash_salt_secret=SECRET)  # noqa: S108


def consumer(app: Application, feed: ListFeed, tally: Tally | None = None) -> Consumer:
    return Consumer(
        app, feed, tally or Tally(), max_events=10, max_bytes=1_000, pause=lambda _: 0.0
    )


def run(app: Application, feed: ListFeed, *, drain: bool = True) -> Tally:
    tally = Tally()
    asyncio.run(consumer(app, feed, tally).run(asyncio.Event(), drain=drain))
    return tally


def state(app: Application) -> dict[date, set[str]]:
    return active(app.store, USERS, DAYS)


def position(app: Application) -> int | None:
    with app.store.read() as reader:
        return position_in(reader, "list")


@given(
    st.lists(an_event, max_size=10),
    st.integers(1, 4),
    st.lists(st.sampled_from(["open", "batch", "acknowledge"]), max_size=8),
)
def test_whatever_fails_every_event_is_applied_once_and_in_order(
    events: list[Event], size: int, failures: list[str]
) -> None:
    app = open_application()
    feed = ListFeed(messages(map(as_json, events)), size)
    feed.failures = failures
    tally = run(app, feed)
    assert state(app) == expected(events, DAYS)
    assert position(app) == (len(events) or None)
    assert tally.events == tally.messages == len(events)
    assert feed.closed == 1


def test_a_batch_is_acknowledged_only_after_it_is_stored(app: Application) -> None:
    feed = ListFeed(messages([as_json(JOINS)]), 1)
    found: list[int | None] = []

    async def acknowledge(_: object) -> None:
        found.append(position(app))

    with patch.object(feed, "acknowledge", acknowledge):
        run(app, feed)
    assert found == [1]


def test_a_batch_that_cannot_be_stored_is_tried_again_before_those_behind_it(
    app: Application,
) -> None:
    feed = ListFeed(messages(map(as_json, [JOINS, LEAVES])), 1)
    apply = app.ingestor.apply
    with patch.object(type(app.ingestor), "apply", side_effect=failing(apply, times=2)):
        tally = run(app, feed)
    assert state(app)[TODAY] == set()
    assert (tally.interruptions, tally.events) == (2, 2)
    assert feed.opened == 3


def failing(function: Callable[..., object], times: int) -> Callable[..., object]:
    left = [StoreFullError() for _ in range(times)]

    def call(*arguments: object) -> object:
        if left:
            raise left.pop()
        return function(*arguments)

    return call


@pytest.mark.parametrize("error", [WrongSecretError(), BrokerRefusedError("there", "no")])
def test_what_trying_again_does_not_help_ends_it(app: Application, error: DpdauError) -> None:
    feed = ListFeed(messages([as_json(JOINS)]), 1)
    with (
        patch.object(type(app.ingestor), "apply", side_effect=error),
        pytest.raises(type(error)),
    ):
        run(app, feed)
    assert feed.acknowledged == 0
    assert feed.closed == 1


def test_an_error_that_nobody_expected_loses_nothing_and_its_message_is_not_logged(
    app: Application,
) -> None:
    feed = ListFeed(messages([as_json(JOINS)]), 1)
    apply = app.ingestor.apply
    errors = [ValueError("ada")]

    def once(*arguments: object) -> object:
        return apply(*arguments) if not errors else (_ for _ in ()).throw(errors.pop())  # type: ignore[arg-type]

    with patch.object(type(app.ingestor), "apply", side_effect=once), capture_logs() as lines:
        run(app, feed)
    assert state(app)[TODAY] == {"ada"}
    assert "ada" not in str([line for line in lines if line["event"] == "interrupted"])


def test_poison_goes_to_the_dead_letters_before_it_is_passed_over(app: Application) -> None:
    feed = ListFeed(messages([as_json(JOINS), b"garbage", as_json(Event("grace", TODAY))]), 3)
    feed.failures = ["bury"]
    with capture_logs() as lines:
        tally = run(app, feed)
    ((message, reason),) = feed.buried
    assert (message.position, message.body) == (2, b"garbage")
    assert "not valid JSON" in reason
    assert state(app)[TODAY] == {"ada", "grace"}
    assert (tally.messages, tally.events, tally.dead_letters) == (3, 2, 1)
    (line,) = (line for line in lines if line["event"] == "dead letter")
    assert line["position"] == 2


def test_nothing_is_stored_while_poison_cannot_be_put_away(app: Application) -> None:
    feed = ListFeed(messages([as_json(JOINS), b"garbage"]), 2)
    stopping = asyncio.Event()

    async def bury(*_: object) -> None:
        stopping.set()
        raise BrokerRefusedError("there", "no")

    with patch.object(feed, "bury", bury), pytest.raises(BrokerRefusedError):
        asyncio.run(consumer(app, feed).run(stopping))
    assert position(app) is None


def test_traces_of_those_whom_events_erase_are_removed_and_what_fails_is_tried_again(
    app: Application,
) -> None:
    leaving = Event("ada", TODAY, add=False, whole_user=True)
    feed = ListFeed(messages(map(as_json, [JOINS, leaving, JOINS])), 1)
    finish = app.eraser.finish
    calls: list[bool] = []

    def purge() -> None:
        calls.append(bool(calls))
        if not calls[-1]:
            raise StoreError("A reader holds former pages.")
        finish()

    with (
        patch.object(type(app.eraser), "finish", side_effect=purge),
        patch("dpdau.streams.consumer._PURGE_PAUSE_SECONDS", 0),
        capture_logs() as lines,
    ):
        run(app, feed)
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["purge failed"]
    assert calls == [False, True]
    with app.store.read() as reader:
        assert [erasure.completed_at is not None for erasure in reader.erasures()] == [True]


def test_it_stops_while_it_waits_for_the_broker(app: Application) -> None:
    feed = ListFeed([], 1)
    feed.failures = ["open"]

    async def stop_soon() -> None:
        stopping = asyncio.Event()
        waiting = Consumer(
            app, feed, Tally(), max_events=1, max_bytes=1, pause=lambda _: stopping.set() or 3600.0
        )
        await waiting.run(stopping)

    asyncio.run(asyncio.wait_for(stop_soon(), 60))
    assert feed.closed == 1


@pytest.mark.parametrize("failures", [1, 5, 1_000_000])
def test_pauses_grow_vary_and_end_at_half_a_minute(failures: int) -> None:
    longest = min(0.2 * 2**failures, 30) if failures < 100 else 30
    pauses = {pause_after(failures) for _ in range(50)}
    assert longest / 2 <= min(pauses) < max(pauses) <= longest
