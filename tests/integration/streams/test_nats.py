"""A consumer in this process on a real NATS server."""

import asyncio
import signal
import ssl
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy
from structlog.testing import capture_logs

from dpdau.application import Application
from dpdau.config import Settings, load_settings
from dpdau.errors import (
    BrokerRefusedError,
    BrokerSetupError,
    BrokerUnreachableError,
    PartitionTakenError,
)
from dpdau.pipeline.positions import position_in
from dpdau.streams.connections import Connection
from dpdau.streams.consumer import Consumer, Tally
from dpdau.streams.nats import NatsFeed, nats_feeds
from support import Event, application
from support.nats import NatsServer, free_port
from support.streams import SECRET, active, as_json, expected

TODAY = datetime.now(UTC).date()
DAYS = [TODAY - timedelta(days=offset) for offset in range(3)]
USERS = [f"user-{number}" for number in range(40)]
PARTITIONS = 4

# The client library leaves the socket of a connection that fails to the collector.
leaves_sockets = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path_factory.mktemp("nats"))
    yield server
    server.stop()


@pytest.fixture
def server(running: NatsServer) -> Iterator[NatsServer]:
    """The server, with empty streams."""
    running.make_streams()
    yield running
    delete_streams(running)


def delete_streams(server: NatsServer) -> None:
    async def delete(streams: JetStreamContext, _: Client) -> None:
        for stream in await streams.streams_info():
            await streams.delete_stream(str(stream.config.name))

    server.ask(delete)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Application]:
    with application(tmp_path / "data", clock=None, hash_salt_secret=SECRET) as opened:
        opened.calendar.clock.now = datetime.now(UTC)  # type: ignore[attr-defined]
        yield opened


def configured(server: NatsServer, **settings: Any) -> Settings:
    return load_settings(**{"broker_url": server.url, "broker_linger_seconds": 0.01, **settings})


def feeds(server: NatsServer, **settings: Any) -> list[NatsFeed]:
    found = configured(server, **settings)
    return nats_feeds(found, Connection.of(found))


async def read(app: Application, readers: list[NatsFeed], tally: Tally) -> None:
    consumers = [
        Consumer(app, feed, tally, max_events=1000, max_bytes=1 << 20, pause=lambda _: 0.01)
        for feed in readers
    ]
    await asyncio.gather(*(each.run(asyncio.Event(), drain=True) for each in consumers))


def drain(server: NatsServer, app: Application, **settings: Any) -> Tally:
    tally = Tally()
    asyncio.run(read(app, feeds(server, **settings), tally))
    return tally


def traffic(count: int) -> list[Event]:
    """Toggles of some people on some days, in an order that matters."""
    return [
        Event(USERS[n * 7 % len(USERS)], DAYS[n % len(DAYS)], add=n * n % 5 != 1)
        for n in range(count)
    ]


def partition(body: bytes) -> str:
    """The subject of an event, by its user."""
    number = int(body.partition(b"user-")[2].partition(b'"')[0])
    return f"dpdau.events.{number % PARTITIONS}"


def state(app: Application) -> dict[date, set[str]]:
    return active(app.store, USERS, DAYS)


def test_a_stream_ends_as_the_same_events_over_http_would(
    server: NatsServer, app: Application
) -> None:
    events = traffic(600)
    server.publish(map(as_json, events), partition)
    tally = drain(server, app, broker_batch_messages=50)
    assert state(app) == expected(events, DAYS)
    assert (tally.messages, tally.events, tally.interruptions) == (600, 600, 0)

    async def consumer(streams: JetStreamContext, _: Client) -> tuple[int | None, int | None]:
        (info,) = await streams.consumers_info("EVENTS")
        return info.num_pending, info.num_ack_pending

    assert server.ask(consumer) == (0, 0)


def test_consumers_of_partitions_share_a_store(server: NatsServer, app: Application) -> None:
    events = traffic(400)
    server.publish(map(as_json, events), partition)
    drain(server, app, broker_partitions="0,2-3", broker_batch_messages=7)
    drain(server, app, broker_partitions="1", broker_batch_messages=7)
    assert state(app) == expected(events, DAYS)


def test_what_was_read_once_is_not_read_again(server: NatsServer, app: Application) -> None:
    server.publish(map(as_json, traffic(50)))
    assert drain(server, app).events == 50
    assert drain(server, app).events == 0
    server.publish(map(as_json, traffic(3)))
    assert drain(server, app).events == 3


def test_a_batch_stored_but_never_acknowledged_is_not_applied_again(
    server: NatsServer, app: Application
) -> None:
    joins, leaves = Event(USERS[0], TODAY), Event(USERS[0], TODAY, add=False)
    server.publish(map(as_json, [joins, leaves, joins, leaves]))

    async def die_before_acknowledging() -> None:
        (feed,) = feeds(server, broker_batch_messages=3, broker_linger_seconds=10)
        consumer = Consumer(app, feed, Tally(), max_events=9, max_bytes=9999, pause=lambda _: 0.0)
        feed.acknowledge = dying  # type: ignore[method-assign]
        with pytest.raises(asyncio.CancelledError):
            await consumer.run(asyncio.Event())

    async def dying(_: object) -> None:
        raise asyncio.CancelledError

    asyncio.run(die_before_acknowledging())
    assert state(app)[TODAY] == {USERS[0]}
    tally = drain(server, app)
    assert tally.events == 1
    assert state(app)[TODAY] == set()


def test_of_a_work_queue_what_is_stored_is_acknowledged_late_but_not_applied_again(
    running: NatsServer, app: Application
) -> None:
    running.make_streams(retention=RetentionPolicy.WORK_QUEUE)
    try:
        test_a_batch_stored_but_never_acknowledged_is_not_applied_again(running, app)

        async def left(streams: JetStreamContext, _: Client) -> int:
            return (await streams.stream_info("EVENTS")).state.messages

        assert running.ask(left) == 0
    finally:
        delete_streams(running)


async def read_on(feed: NatsFeed) -> None:
    while True:
        await feed.batch()


def test_a_consumer_that_is_replaced_ends_and_stores_nothing_more(
    server: NatsServer, app: Application
) -> None:
    events = traffic(20)
    server.publish(map(as_json, events))

    async def position(source: str) -> int | None:
        with app.store.read() as reader:
            return position_in(reader, source)

    async def replace() -> None:
        (first,) = feeds(server, broker_batch_messages=5)
        await first.open(position)
        assert await first.batch() is not None
        await read(app, feeds(server), Tally())
        with pytest.raises(BrokerUnreachableError, match=r"deleted|503"):
            await read_on(first)
        with pytest.raises(PartitionTakenError, match="has taken over"):
            await first.open(position)
        await first.close()

    asyncio.run(replace())
    assert state(app) == expected(events, DAYS)


def test_a_delivery_that_is_lost_on_the_way_is_noticed(
    server: NatsServer, app: Application
) -> None:
    events = traffic(30)
    server.publish(map(as_json, events))
    lost: list[Any] = []

    async def lose_one() -> None:
        (feed,) = feeds(server, broker_batch_messages=10)
        receive = feed._receive  # noqa: SLF001

        async def lossy(message: Any) -> None:
            if message.reply and not lost and message.metadata.sequence.stream == 17:
                lost.append(message)
                return
            await receive(message)

        feed._receive = lossy  # type: ignore[method-assign]  # noqa: SLF001
        tally = Tally()
        await read(app, [feed], tally)
        assert tally.interruptions == 1

    asyncio.run(lose_one())
    assert lost
    assert state(app) == expected(events, DAYS)


def test_poison_is_put_away_once_with_its_reason(server: NatsServer, app: Application) -> None:
    server.publish([as_json(Event(USERS[0], TODAY))])
    server.publish([b"garbage"], headers={"content-type": "application/json"})
    server.publish([as_json(Event(USERS[1], TODAY))])
    tally = drain(server, app)
    assert (tally.messages, tally.events, tally.dead_letters) == (3, 2, 1)
    ((body, headers),) = server.dead_letters()
    assert body == b"garbage"
    assert "not valid JSON" in headers["Dpdau-Reason"]
    assert headers["Dpdau-Origin"] == "dpdau.events"
    assert headers["Dpdau-Position"] == "2"
    assert headers["Dpdau-Content-Type"] == "application/json"
    assert state(app)[TODAY] == {USERS[0], USERS[1]}


def test_the_payload_of_poison_can_be_left_out(server: NatsServer, app: Application) -> None:
    server.publish([b"garbage"])
    drain(server, app, broker_dead_payloads=False)
    assert [body for body, _ in server.dead_letters()] == [b""]


def test_poison_that_comes_again_after_a_crash_is_put_away_once(server: NatsServer) -> None:
    server.publish([b"garbage"])

    async def bury_twice() -> None:
        for _ in range(2):
            (feed,) = feeds(server)
            await feed.open(nowhere)
            batch = await feed.batch()
            assert batch is not None
            await feed.bury(batch, batch.messages[0], "garbage")
            await feed.close()

    asyncio.run(bury_twice())
    assert len(server.dead_letters()) == 1


async def nowhere(_: str) -> None:
    return None


def test_batches_of_every_media_type_go_through(server: NatsServer, app: Application) -> None:
    first, second = as_json(Event(USERS[0], TODAY)), as_json(Event(USERS[1], TODAY))
    server.publish([b'{"events":[' + first + b"," + second + b"]}"])
    lines = first + b"\n" + as_json(Event(USERS[0], TODAY, add=False))
    server.publish([lines], headers={"Content-Type": "application/x-ndjson"})
    table = f"user_id,op,day\n{USERS[2]},+,{TODAY}\n".encode()
    server.publish([table], headers={"Content-Type": "text/csv"})
    assert drain(server, app).events == 5
    assert state(app)[TODAY] == {USERS[1], USERS[2]}


def test_an_erasure_by_event_erases(server: NatsServer, app: Application) -> None:
    leaving = Event(USERS[0], TODAY, add=False, whole_user=True)
    server.publish(map(as_json, [Event(USERS[0], DAYS[2]), Event(USERS[1], TODAY), leaving]))
    drain(server, app)
    assert state(app) == {DAYS[0]: {USERS[1]}, DAYS[1]: set(), DAYS[2]: set()}
    with app.store.read() as reader:
        assert [each.completed_at is not None for each in reader.erasures()] == [True]


@leaves_sockets
def test_a_server_that_is_killed_and_comes_back_is_read_on_without_a_loss(
    tmp_path: Path, app: Application
) -> None:
    server = NatsServer(tmp_path / "nats")
    events = traffic(300)
    try:
        server.make_streams()
        server.publish(map(as_json, events[:150]))

        async def across_a_crash() -> Tally:
            tally = Tally()
            (feed,) = feeds(server, broker_batch_messages=20)
            consumer = Consumer(
                app, feed, tally, max_events=9, max_bytes=9999, pause=lambda _: 0.05
            )
            stopping = asyncio.Event()
            reading = asyncio.create_task(consumer.run(stopping))
            await until(lambda: tally.messages >= 60)
            await asyncio.to_thread(server.stop, signal.SIGKILL)
            await until(lambda: tally.interruptions >= 2)
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(server.publish, list(map(as_json, events[150:])))
            await until(lambda: tally.messages == 300)
            stopping.set()
            await reading
            return tally

        assert asyncio.run(across_a_crash()).events == 300
    finally:
        server.stop()
    assert state(app) == expected(events, DAYS)


async def until(condition: Any) -> None:
    async with asyncio.timeout(120):
        while not condition():  # noqa: ASYNC110 - the consumer tells nobody
            await asyncio.sleep(0.01)


def test_the_batch_and_what_is_read_ahead_are_all_that_is_in_flight(server: NatsServer) -> None:
    server.publish(map(as_json, traffic(100)))

    async def stall() -> None:
        (feed,) = feeds(server, broker_batch_messages=10, broker_linger_seconds=10)
        await feed.open(nowhere)
        sizes = [len((await feed.batch()).messages) for _ in range(2)]  # type: ignore[union-attr]
        assert sizes == [10, 10]
        # Without an acknowledgement the server gives no more than this.
        assert await feed.batch() is None
        await feed.close()

    asyncio.run(stall())


def test_more_bytes_than_one_request_may_bring_come_with_the_next(
    server: NatsServer, app: Application
) -> None:
    padding = b" " * 200_000
    bodies = [as_json(event) + padding for event in traffic(40)]
    server.publish(bodies)
    assert drain(server, app, max_body_bytes=1024).interruptions == 0
    assert state(app) == expected(traffic(40), DAYS)


@pytest.mark.parametrize("missing", ["events", "dead"])
def test_a_stream_that_is_missing_is_named(
    running: NatsServer, app: Application, missing: str
) -> None:
    if missing == "dead":
        running.make_streams(dead=False)
    try:
        with pytest.raises(BrokerSetupError, match=f"has the subject dpdau.{missing}"):
            drain(running, app)
    finally:
        delete_streams(running)


def test_a_stream_that_drops_what_nobody_asks_for_is_refused(
    running: NatsServer, app: Application
) -> None:
    running.make_streams(retention=RetentionPolicy.INTEREST)
    try:
        with pytest.raises(BrokerSetupError, match="limits or workqueue"):
            drain(running, app)
    finally:
        delete_streams(running)


def test_a_stream_that_is_made_anew_is_read_from_its_beginning(
    server: NatsServer, app: Application
) -> None:
    server.publish(map(as_json, traffic(30)))
    drain(server, app)
    delete_streams(server)
    server.make_streams()
    server.publish([as_json(Event(USERS[0], TODAY))])
    assert drain(server, app).events == 1


def test_a_stream_that_lost_what_the_store_has_is_refused(server: NatsServer) -> None:
    server.publish([as_json(Event(USERS[0], TODAY))])

    async def open_far_ahead() -> None:
        (feed,) = feeds(server)

        async def ahead(_: str) -> int:
            return 99

        try:
            with pytest.raises(BrokerSetupError, match="ends at 1, and the store has"):
                await feed.open(ahead)
        finally:
            await feed.close()

    asyncio.run(open_far_ahead())


def test_messages_that_a_limit_deleted_unread_are_told(
    server: NatsServer, app: Application
) -> None:
    server.publish(map(as_json, traffic(3)))
    drain(server, app)
    server.publish(map(as_json, traffic(3)))

    async def purge(streams: JetStreamContext, _: Client) -> None:
        await streams.purge_stream("EVENTS", seq=6)

    server.ask(purge)
    with capture_logs() as lines:
        drain(server, app)
    (line,) = (line for line in lines if line["event"] == "messages expired")
    assert (line["stored_up_to"], line["first_left"]) == (3, 6)


def test_a_broker_that_is_not_there_is_named() -> None:
    settings = load_settings(broker_url=f"nats://127.0.0.1:{free_port()}")

    async def reach() -> None:
        (feed,) = nats_feeds(settings, Connection.of(settings))
        with pytest.raises(BrokerUnreachableError, match=r"No answer from nats://127\.0\.0\.1"):
            await feed.open(nowhere)
        await feed.close()

    asyncio.run(reach())


def test_the_server_can_split_a_stream_by_user(tmp_path: Path, app: Application) -> None:
    mapping = 'mappings: {"dpdau.raw.*": "dpdau.events.{{partition(4,1)}}"}'
    server = NatsServer(tmp_path / "nats", mapping)
    events = traffic(200)

    def raw(body: bytes) -> str:
        return "dpdau.raw." + body.partition(b'"user_id": "')[2].partition(b'"')[0].decode()

    async def used(streams: JetStreamContext, _: Client) -> int:
        return len((await streams.stream_info("EVENTS", "dpdau.events.*")).state.subjects or {})

    try:
        server.make_streams()
        server.publish(map(as_json, events), raw)
        assert server.ask(used) == 4
        drain(server, app, broker_partitions="0-3", broker_batch_messages=9)
    finally:
        server.stop()
    assert state(app) == expected(events, DAYS)


def test_a_stream_with_the_subject_alone_is_enough(running: NatsServer, app: Application) -> None:
    async def make(streams: JetStreamContext, _: Client) -> None:
        await streams.add_stream(name="EVENTS", subjects=["dpdau.events"])
        await streams.add_stream(name="DEAD", subjects=["dpdau.dead"])

    running.ask(make)
    try:
        running.publish([as_json(Event(USERS[0], TODAY))])
        assert drain(running, app).events == 1
    finally:
        delete_streams(running)


def test_subjects_of_two_streams_have_no_one_order_and_are_refused(
    running: NatsServer, app: Application
) -> None:
    async def make(streams: JetStreamContext, _: Client) -> None:
        await streams.add_stream(name="ONE", subjects=["dpdau.events"])
        await streams.add_stream(name="TWO", subjects=["dpdau.events.>"])

    running.ask(make)
    try:
        with pytest.raises(BrokerSetupError, match="belong to several streams"):
            drain(running, app)
    finally:
        delete_streams(running)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of this machine that vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(made.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


@leaves_sockets
def test_over_tls_a_server_has_to_prove_who_it_is(tmp_path: Path, app: Application) -> None:
    cert, key = certificate(tmp_path)
    server = NatsServer(tmp_path / "nats", f"tls {{ cert_file: '{cert}', key_file: '{key}' }}")
    server.options = {"tls": ssl.create_default_context(cafile=cert)}
    address = f"nats+tls://127.0.0.1:{server.port}"
    try:
        server.make_streams()
        server.publish([as_json(Event(USERS[0], TODAY))])

        async def distrust() -> None:
            settings = load_settings(broker_url=address)
            (feed,) = nats_feeds(settings, Connection.of(settings))
            with pytest.raises(BrokerUnreachableError, match=r"(?i)certificate"):
                await feed.open(nowhere)
            await feed.close()

        asyncio.run(distrust())
        settings = load_settings(broker_url=address, broker_ca_file=cert)
        tally = Tally()
        asyncio.run(read(app, nats_feeds(settings, Connection.of(settings)), tally))
        assert tally.events == 1
    finally:
        server.stop()


@leaves_sockets
def test_whoever_asks_for_no_tls_is_sent_nothing_where_it_is_wanted() -> None:
    received: list[bytes] = []

    async def pretend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.11.0","max_payload":1048576}\r\n')
        received.append(await reader.read())
        writer.close()

    async def connect() -> None:
        listener = await asyncio.start_server(pretend, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        settings = load_settings(
            broker_url=f"nats+tls://127.0.0.1:{port}",
            broker_user="ada",
            broker_password="secret",
        )
        (feed,) = nats_feeds(settings, Connection.of(settings))
        with pytest.raises(BrokerSetupError, match="asks for no TLS"):
            await feed.open(nowhere)
        await feed.close()
        await until(lambda: received)
        listener.close()

    asyncio.run(connect())
    assert received == [b""]


@leaves_sockets
def test_wrong_credentials_and_missing_permissions_are_told_apart_from_a_broker_that_is_away(
    tmp_path: Path, app: Application
) -> None:
    server = NatsServer(
        tmp_path / "nats",
        "authorization { users: [{user: all, password: secret}, "
        '{user: few, password: secret, permissions: {publish: ["_INBOX.>"], subscribe: ">"}}]}',
    )
    server.options = {"user": "all", "password": "secret"}
    try:
        server.make_streams()
        with pytest.raises(BrokerRefusedError, match="credentials are not accepted"):
            drain(server, app)
        with pytest.raises(BrokerRefusedError, match="credentials are not accepted"):
            drain(server, app, broker_user="all", broker_password="wrong")
        with pytest.raises(BrokerRefusedError, match="permissions violation"):
            drain(server, app, broker_user="few", broker_password="secret")
        assert drain(server, app, broker_user="all", broker_password="secret").interruptions == 0
    finally:
        server.stop()
