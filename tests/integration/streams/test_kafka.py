"""A consumer in this process on librdkafka's mock of a Kafka cluster; no Kafka was at hand.

The mock speaks the protocol, so the client, its group of one and the commits are real. The mock
refuses groups of two, so that a group balances itself is played by calling what the client calls
then; and how a real cluster behaves under faults is not shown here.
"""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
)
from structlog.testing import capture_logs

from dpdau.application import Application
from dpdau.config import load_settings
from dpdau.errors import (
    BrokerRefusedError,
    BrokerSetupError,
    BrokerUnreachableError,
    PositionMovedError,
)
from dpdau.pipeline.positions import Advance, position_in
from dpdau.streams.connections import Connection
from dpdau.streams.consumer import Consumer, Tally
from dpdau.streams.kafka import KafkaFeed, kafka_feeds
from dpdau.streams.messages import Batch
from support import Event, application
from support.kafka import MockKafka
from support.nats import free_port
from support.streams import SECRET, active, as_json, expected

TODAY = datetime.now(UTC).date()
DAYS = [TODAY - timedelta(days=offset) for offset in range(3)]
USERS = [f"user-{number}" for number in range(20)]
PARTITIONS = 4
_numbers = count()

# The client library leaves what it was doing when it was stopped to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def cluster() -> MockKafka:
    return MockKafka()


@pytest.fixture
def topic() -> str:
    """A topic of its own, which is made when it is first asked for."""
    return f"events-{next(_numbers)}"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    with application(tmp_path / "data", hash_salt_secret=SECRET) as opened:
        opened.calendar.clock.now = datetime.now(UTC)  # type: ignore[attr-defined]
        yield opened


def open_feed(url: str, topic: str, **settings: Any) -> KafkaFeed:
    given: dict[str, Any] = {"broker_linger_seconds": 0.01, "broker_group": topic, **settings}
    found = load_settings(
        broker_url=url, broker_subject=topic, broker_dead_subject=f"dead-{topic}", **given
    )
    (feed,) = kafka_feeds(found, Connection.of(found))
    return feed


def client_of(feed: KafkaFeed) -> Any:
    """The client library's consumer, to play what a cluster would do to it."""
    return feed._consumer  # noqa: SLF001


async def read(app: Application, feed: KafkaFeed) -> Tally:
    tally = Tally()
    consumer = Consumer(app, feed, tally, max_events=99, max_bytes=9999, pause=lambda _: 0.01)
    await asyncio.wait_for(consumer.run(asyncio.Event(), drain=True), 120)
    return tally


def traffic(number: int) -> list[Event]:
    return [
        Event(USERS[n * 7 % len(USERS)], DAYS[n % len(DAYS)], add=n * n % 5 != 1)
        for n in range(number)
    ]


def partitioned(events: list[Event]) -> list[tuple[int, bytes]]:
    """Each event with the partition of its user."""
    return [
        (int(event.user_id.removeprefix("user-")) % PARTITIONS, as_json(event)) for event in events
    ]


def state(app: Application) -> dict[date, set[str]]:
    return active(app.store, USERS, DAYS)


def test_a_group_reads_every_partition_as_http_would(
    cluster: MockKafka, topic: str, app: Application
) -> None:
    events = traffic(80)
    cluster.publish(topic, partitioned(events))
    tally = asyncio.run(read(app, open_feed(cluster.url, topic)))
    assert state(app) == expected(events, DAYS)
    assert (tally.events, tally.interruptions) == (80, 0)

    async def committed() -> dict[int, int | None]:
        consumer = AIOKafkaConsumer(bootstrap_servers=cluster.servers, group_id=topic)
        await consumer.start()
        try:
            return {n: await consumer.committed(TopicPartition(topic, n)) for n in range(4)}
        finally:
            await consumer.stop()

    ends = {n: sum(partition == n for partition, _ in partitioned(events)) for n in range(4)}
    assert asyncio.run(committed()) == ends


def test_what_was_stored_but_never_committed_is_not_applied_again(
    cluster: MockKafka, topic: str, app: Application
) -> None:
    joins, leaves = Event(USERS[0], TODAY), Event(USERS[0], TODAY, add=False)
    cluster.publish(topic, partitioned([joins, leaves, joins]))
    feed = open_feed(cluster.url, topic, broker_partitions="0")

    async def forget(_: Batch) -> None:
        return None

    feed.acknowledge = forget  # type: ignore[method-assign]
    asyncio.run(read(app, feed))
    assert state(app)[TODAY] == {USERS[0]}
    cluster.publish(topic, partitioned([leaves]))
    tally = asyncio.run(read(app, open_feed(cluster.url, topic, broker_partitions="0")))
    assert tally.events == 1
    assert state(app)[TODAY] == set()


def test_poison_goes_to_the_dead_topic_with_its_reason(
    cluster: MockKafka, topic: str, app: Application
) -> None:
    cluster.publish(topic, [(1, b"garbage")], {"content-type": "application/json"})
    cluster.publish(topic, [(1, as_json(Event(USERS[1], TODAY)))])
    tally = asyncio.run(read(app, open_feed(cluster.url, topic)))
    assert (tally.events, tally.dead_letters) == (1, 1)

    async def dead() -> Any:
        consumer = AIOKafkaConsumer(
            f"dead-{topic}", bootstrap_servers=cluster.servers, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            return await asyncio.wait_for(consumer.getone(), 60)
        finally:
            await consumer.stop()

    letter = asyncio.run(dead())
    headers = {name: value.decode() for name, value in letter.headers}
    assert letter.value == b"garbage"
    assert "not valid JSON" in headers["Dpdau-Reason"]
    assert headers["Dpdau-Origin"] == f"{topic} 1"
    assert headers["Dpdau-Position"] == "0"
    assert headers["Dpdau-Content-Type"] == "application/json"


def test_a_store_that_went_on_without_this_consumer_is_caught_up_with(
    cluster: MockKafka, topic: str, app: Application
) -> None:
    events = [Event(USERS[0], TODAY, add=n % 2 == 0) for n in range(4)]
    cluster.publish(topic, partitioned(events))

    async def position(source: str) -> int | None:
        with app.store.read() as reader:
            return position_in(reader, source)

    async def be_late() -> None:
        feed = open_feed(cluster.url, topic, broker_partitions="0")
        await feed.open(position)
        async with asyncio.timeout(60):
            while (batch := await feed.batch()) is None:
                pass
        # Another consumer stores the first three meanwhile.
        with app.store.write() as transaction:
            Advance(batch.source, None, 2).carry_out(transaction)
        with pytest.raises(PositionMovedError), app.store.write() as transaction:
            Advance(batch.source, batch.behind, batch.last).carry_out(transaction)
        await feed.open(position)
        async with asyncio.timeout(60):
            while (batch := await feed.batch()) is None:
                pass
        assert (batch.behind, batch.last, len(batch.messages)) == (2, 3, 1)
        await feed.close()

    asyncio.run(be_late())


def test_partitions_that_come_and_go_while_a_batch_is_in_hand_lose_and_repeat_nothing(
    cluster: MockKafka, topic: str, app: Application
) -> None:
    events = traffic(120)
    cluster.publish(topic, partitioned(events))

    async def shaken() -> Tally:
        feed = open_feed(cluster.url, topic, broker_batch_messages=8)
        batch, batches = feed.batch, count()

        async def shake() -> Batch | None:
            found = await batch()
            if found is not None and next(batches) % 4 == 1:
                # As the client does when the group balances itself.
                partitions = client_of(feed).assignment()
                await feed.on_partitions_revoked(partitions)
                await feed.on_partitions_assigned(partitions)
            return found

        feed.batch = shake  # type: ignore[method-assign]
        return await read(app, feed)

    tally = asyncio.run(shaken())
    assert tally.events == 120
    assert tally.interruptions > 0
    assert state(app) == expected(events, DAYS)


def test_a_topic_that_lost_what_the_store_has_is_refused(
    cluster: MockKafka, topic: str, app: Application
) -> None:
    cluster.publish(topic, [(0, b"{}")])
    with app.store.write() as transaction:
        Advance(f"kafka {topic} 0", None, 7).carry_out(transaction)
    with pytest.raises(
        BrokerSetupError, match="ends before offset 1, and the store has it up to 7"
    ):
        asyncio.run(read(app, open_feed(cluster.url, topic, broker_partitions="0")))


async def nowhere(_: str) -> None:
    return None


def test_records_that_expired_unread_are_told(cluster: MockKafka, topic: str) -> None:
    cluster.publish(topic, [(0, b"{}")] * 5)

    async def expire() -> list[Any]:
        feed = open_feed(cluster.url, topic, broker_partitions="0")
        await feed.open(nowhere)
        consumer = client_of(feed)

        async def firsts(partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
            return dict.fromkeys(partitions, 3)

        consumer.beginning_offsets = firsts

        async def behind(_: str) -> int:
            return 0

        with capture_logs() as lines:
            await feed.open(behind)
        assert await consumer.position(TopicPartition(topic, 0)) == 3
        await feed.close()
        return lines

    (line,) = asyncio.run(expire())
    assert (line["event"], line["stored_up_to"], line["first_left"]) == ("messages expired", 0, 3)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_broker_that_is_not_there_is_named(topic: str) -> None:
    async def reach() -> None:
        feed = open_feed(f"kafka://127.0.0.1:{free_port()}", topic)
        with pytest.raises(BrokerUnreachableError, match=r"No answer from kafka://127\.0\.0\.1"):
            await feed.open(nowhere)
        with pytest.raises(BrokerUnreachableError, match="the connection was lost"):
            await feed.batch()

    asyncio.run(reach())


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (SaslAuthenticationFailed("Authentication failed"), BrokerRefusedError),
        (KafkaConnectionError("gone"), BrokerUnreachableError),
        (CommitFailedError(), None),
    ],
)
def test_errors_of_the_client_are_told_in_our_words(
    cluster: MockKafka, topic: str, error: KafkaError, expected: type[Exception] | None
) -> None:
    cluster.publish(topic, [(0, b"{}")])

    async def fail() -> None:
        feed = open_feed(cluster.url, topic, broker_partitions="0")
        await feed.open(nowhere)
        async with asyncio.timeout(60):
            while (batch := await feed.batch()) is None:
                pass
        consumer = client_of(feed)

        async def commit(_: object) -> None:
            raise error

        consumer.commit = commit
        try:
            if expected is None:
                # The partition is someone else's by now, who goes on where the store is.
                await feed.acknowledge(batch)
            else:
                with pytest.raises(expected):
                    await feed.acknowledge(batch)
        finally:
            await feed.close()

    asyncio.run(fail())


@pytest.mark.parametrize(
    ("settings", "mechanism", "protocol"),
    [
        ({}, None, "PLAINTEXT"),
        ({"broker_user": "ada", "broker_password": "p"}, "SCRAM-SHA-512", "SASL_PLAINTEXT"),
        (
            {"broker_user": "ada", "broker_password": "p", "broker_sasl": "plain"},
            "PLAIN",
            "SASL_PLAINTEXT",
        ),
        (
            {
                "broker_user": "a",
                "broker_password": "p",
                "broker_url": "kafka+tls://localhost:9093",
            },
            "SCRAM-SHA-512",
            "SASL_SSL",
        ),
        ({"broker_url": "kafka+tls://localhost:9093"}, None, "SSL"),
    ],
)
def test_credentials_reach_the_client(
    settings: dict[str, Any], mechanism: str | None, protocol: str
) -> None:
    from faststream.kafka.security import parse_security  # noqa: PLC0415

    from dpdau.streams.kafka import security  # noqa: PLC0415

    found = load_settings(**{"broker_url": "kafka://localhost:9092", **settings})
    given = parse_security(security(found, Connection.of(found)))
    assert given["security_protocol"] == protocol
    assert given.get("sasl_mechanism") == mechanism
    assert json.dumps(given.get("sasl_plain_username")) == json.dumps(settings.get("broker_user"))
