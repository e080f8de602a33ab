"""NATS JetStream: one feed reads all of a subject in the stream's order, or one partition of it.

Each feed makes its consumer at the server anew whenever it is opened, starting behind the store's
position. That does three things which a consumer that is left standing does not:

- Nothing is delivered out of order. A standing consumer hands out new messages while older ones,
  which a dead process had, wait for their redelivery.
- Nothing waits for that redelivery: a process that takes over reads on at once.
- A process that was thought dead and is not finds its consumer gone, and ends.

So that none of this depends on who asks when, no two of these consumers have the same name: a
process can only ask for messages of the one that it made.

The consumer numbers its deliveries. One that is missing was lost on the way, so the feed fails and
is opened again. Messages are acknowledged once they are stored, for what the server shows and for
streams that drop what is done with; what is read next never depends on it.

FastStream connects and publishes. Messages are pulled with the client library beneath it: its own
subscriber passes over a batch that fails, and cannot start behind a position.
"""

import asyncio
import json
import secrets
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    RetentionPolicy,
    StreamInfo,
)

from dpdau.config import Settings
from dpdau.errors import (
    BrokerSetupError,
    BrokerUnreachableError,
    PartitionTakenError,
)
from dpdau.streams.connections import Connection
from dpdau.streams.headers import dead_headers, header
from dpdau.streams.messages import Batch, Message, StoredPosition
from dpdau.streams.nats_link import API_SECONDS, NatsLink

__all__ = ["nats_feeds"]

_log = structlog.get_logger("dpdau.streams")

_IDLE_SECONDS = 1.0
_PULL_SECONDS = 30
_NANOSECONDS = 1_000_000_000
_ACK_WAIT_SECONDS = 60.0
_NAME_BYTES = 4
_ENDED = frozenset({"404", "408"})
_COMPLETED = frozenset({"batch completed", "message size exceeds maxbytes"})


def nats_feeds(settings: Settings, connection: Connection) -> list["NatsFeed"]:
    """The feeds of the partitions that one consumer reads, over one connection."""
    link = NatsLink(settings, connection)
    partitions = settings.broker_partitions
    if partitions is None:
        return [NatsFeed(settings, link, None)]
    return [NatsFeed(settings, link, partition) for partition in partitions]


class NatsFeed:
    """One consumer at the server; see `Feed`."""

    def __init__(self, settings: Settings, link: NatsLink, partition: int | None) -> None:
        """Read a partition, or everything if it is None."""
        self._settings = settings
        self._link = link
        subject = settings.broker_subject
        self._subjects = (
            [subject, f"{subject}.>"] if partition is None else [f"{subject}.{partition}"]
        )
        self._filters = self._subjects
        part = "all" if partition is None else str(partition)
        self._family = f"{settings.broker_group}-{part}-"
        self._consumer = ""
        self._size = settings.broker_batch_messages
        self._source = ""
        self._client: Client | None = None
        self._subscription: Any = None
        self._inbox = ""
        self._pull = self._reply = ""
        self._requests = 0
        self._stream = self._dead_stream = ""
        self._arrived: deque[Msg] = deque()
        self._news = asyncio.Event()
        self._last: int | None = None
        self._stored: int | None = None
        self._stored_before: list[Msg] = []
        self._deliveries = 0
        self._is_pulling = False
        self._pull_ends = 0.0
        self._credits = 0
        link.join()

    @property
    def name(self) -> str:
        """What it reads, for people."""
        return f"{self._link} {self._subjects[-1]}"

    async def open(self, stored_position: StoredPosition) -> None:
        """Make the consumer anew, behind the store's position; see `Feed.open`."""
        self._client = client = await self._link.client()
        with self._link.translated():
            server = client.jetstream(timeout=API_SECONDS)
            stream = await self._find_stream(server)
            self._dead_stream = await self._find_dead_stream(server)
            made_at = stream.created.isoformat() if stream.created else "-"
            # A stream that is made anew counts from 1 again.
            self._source = f"nats {self._stream} {made_at} {self._subjects[-1]}"
        behind = await stored_position(self._source)
        self._require_readable(stream, behind)
        with self._link.translated():
            await self._replace_others(server)
            self._begin(behind)
            self._consumer = f"{self._family}{secrets.token_hex(_NAME_BYTES)}"
            await self._listen(client)
            await server.add_consumer(self._stream, self._wanted(stream, behind))

    async def batch(self) -> Batch | None:
        """The next messages of the consumer; see `Feed.batch`."""
        client = self._connected()
        if not self._is_pulling:
            await self._request(client)
        behind, taken = self._last, list[Message]()
        await self._gather(taken)
        await self._acknowledge(self._stored_before)
        self._stored_before.clear()
        if taken:
            return Batch(self._source, behind, tuple(taken))
        self._connected()
        if self._is_pulling and monotonic() > self._pull_ends + API_SECONDS:
            raise BrokerUnreachableError(str(self._link), "a request for messages was forgotten")
        return None

    async def acknowledge(self, batch: Batch) -> None:
        """Tell the server that these messages are done with."""
        await self._acknowledge([message.handle for message in batch.messages])
        self._stored = batch.last

    async def bury(self, batch: Batch, message: Message, reason: str) -> None:
        """Put a message into the stream of dead letters, once however often it is tried."""
        subject = message.handle.subject
        headers = dead_headers(message, origin=subject, reason=reason)
        headers["Nats-Msg-Id"] = f"{batch.source} {message.position}"
        body = message.body if self._settings.broker_dead_payloads else b""
        dead = self._settings.broker_dead_subject
        await self._link.publish(body, dead, headers, self._dead_stream)

    async def is_drained(self) -> bool:
        """Whether the consumer had nothing more when asked."""
        client = self._connected()
        with self._link.translated():
            info = await client.jetstream(timeout=API_SECONDS).consumer_info(
                self._stream, self._consumer
            )
        delivered = info.delivered.consumer_seq if info.delivered else 0
        return not info.num_pending and delivered == self._deliveries and not self._arrived

    async def close(self) -> None:
        """Stop listening; the consumer stays for those who look how far it is."""
        await self._unlisten()
        await self._link.leave()

    def _begin(self, behind: int | None) -> None:
        self._last = self._stored = behind
        self._stored_before.clear()
        self._deliveries = 0
        self._is_pulling = False
        self._pull_ends = 0.0
        self._credits = 0
        self._arrived.clear()

    def _connected(self) -> Client:
        if self._client is None or not self._client.is_connected:
            raise BrokerUnreachableError(str(self._link), "the connection was lost")
        return self._client

    async def _acknowledge(self, messages: Sequence[Msg]) -> None:
        client = self._connected()
        with self._link.translated():
            for message in messages:
                await message.ack()
            if messages:
                await client.flush(int(API_SECONDS))

    async def _find_stream(self, server: JetStreamContext) -> StreamInfo:
        """The stream of the subjects, of which one is enough."""
        streams = {subject: await _stream_of(server, subject) for subject in self._subjects}
        self._filters = [subject for subject, stream in streams.items() if stream is not None]
        names = {stream for stream in streams.values() if stream is not None}
        if len(names) > 1:
            what = f"The subjects {' and '.join(self._subjects)} belong to several streams"
            raise BrokerSetupError(what, "Let one stream have both, so that there is one order")
        if not names:
            raise self._missing(self._subjects[0])
        (self._stream,) = names
        return await server.stream_info(self._stream)

    async def _find_dead_stream(self, server: JetStreamContext) -> str:
        subject = self._settings.broker_dead_subject
        stream = await _stream_of(server, subject)
        if stream is None:
            raise self._missing(subject)
        return stream

    def _missing(self, subject: str) -> BrokerSetupError:
        what = f"No stream at {self._link} has the subject {subject}"
        return BrokerSetupError(what, "Make one there first; docs/how-to/consume.md has how")

    def _require_readable(self, stream: StreamInfo, behind: int | None) -> None:
        """Pass if the stream still has what the store has not.

        Raises:
            BrokerSetupError: if it may never have it.
        """
        if stream.config.retention == RetentionPolicy.INTEREST:
            what = f"The stream {self._stream} keeps messages only while a consumer is interested"
            raise BrokerSetupError(
                what, "Consumers are made anew here: give it limits or workqueue as its retention"
            )
        if behind is None:
            return
        if stream.state.last_seq < behind:
            what = (
                f"The stream {self._stream} ends at {stream.state.last_seq}, and the store has its "
                f"messages up to {behind}: it was put back to an earlier state"
            )
            raise BrokerSetupError(what, "Send what it lost, and all that follows, in a new stream")
        is_limited = stream.config.retention == RetentionPolicy.LIMITS
        if is_limited and stream.state.first_seq > behind + 1:
            _log.warning(
                "messages expired",
                source=self.name,
                stored_up_to=behind,
                first_left=stream.state.first_seq,
            )

    async def _replace_others(self, server: JetStreamContext) -> None:
        """Delete consumers of this group and partition, which processes before this one left.

        Raises:
            PartitionTakenError: if this one's own was replaced by another.
        """
        names = [each.name for each in await _consumers(server, self._stream)]
        others = [
            name
            for name in names
            if name.startswith(self._family) and "-" not in name.removeprefix(self._family)
        ]
        if self._consumer and others and self._consumer not in others:
            raise PartitionTakenError(self.name)
        for name in others:
            with suppress(nats.js.errors.NotFoundError):
                await server.delete_consumer(self._stream, name)

    def _wanted(self, stream: StreamInfo, behind: int | None) -> ConsumerConfig:
        # Of a work queue a consumer has to get everything; what is stored already is passed over.
        is_queue = stream.config.retention == RetentionPolicy.WORK_QUEUE
        starts_at = None if behind is None or is_queue else behind + 1
        is_one = len(self._filters) == 1
        return ConsumerConfig(
            durable_name=self._consumer,
            deliver_policy=(
                DeliverPolicy.ALL if starts_at is None else DeliverPolicy.BY_START_SEQUENCE
            ),
            opt_start_seq=starts_at,
            filter_subject=self._filters[0] if is_one else None,
            filter_subjects=None if is_one else self._filters,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=_ACK_WAIT_SECONDS,
            max_ack_pending=2 * self._size,
        )

    async def _listen(self, client: Client) -> None:
        await self._unlisten()
        self._inbox = client.new_inbox()
        self._subscription = await client.subscribe(
            f"{self._inbox}.*", cb=self._receive, pending_bytes_limit=2 * self._max_bytes(client)
        )
        self._pull = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._consumer}"

    async def _unlisten(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with suppress(nats.errors.Error):
                await subscription.unsubscribe()

    async def _receive(self, message: Msg) -> None:
        self._arrived.append(message)
        self._news.set()

    def _max_bytes(self, client: Client) -> int:
        """What one request may bring: enough for any message, and bounded whatever their number."""
        return int(2 * client.max_payload + self._settings.max_body_bytes)

    async def _request(self, client: Client) -> None:
        """Ask for as many messages as are read ahead."""
        asked = {
            "batch": self._size,
            "max_bytes": self._max_bytes(client),
            "expires": _PULL_SECONDS * _NANOSECONDS,
        }
        self._requests += 1
        self._reply = f"{self._inbox}.{self._requests}"
        with self._link.translated():
            await client.publish(self._pull, json.dumps(asked).encode(), reply=self._reply)
        self._is_pulling = True
        self._pull_ends = monotonic() + _PULL_SECONDS
        self._credits = self._size

    async def _gather(self, taken: list[Message]) -> None:
        """Take what arrives, until the batch is full or the first message has waited enough."""
        ends = monotonic() + _IDLE_SECONDS
        while True:
            had = len(taken)
            while self._arrived and len(taken) < self._size:
                self._accept(self._arrived.popleft(), taken)
            if taken and not had:
                ends = monotonic() + self._settings.broker_linger_seconds
            left = ends - monotonic()
            if len(taken) == self._size or left <= 0 or (taken and not self._is_pulling):
                return
            self._news.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)
            if not taken and not self._is_pulling:
                return

    def _accept(self, message: Msg, taken: list[Message]) -> None:
        if not message.reply:
            self._end_request(message)
            return
        sequence = message.metadata.sequence
        self._deliveries += 1
        self._credits -= 1
        self._is_pulling = self._credits > 0
        if sequence.consumer != self._deliveries:
            raise BrokerUnreachableError(str(self._link), "a message got lost on the way")
        if self._last is not None and sequence.stream <= self._last:
            # Delivered again. What is stored is acknowledged again; the rest is in hand.
            if self._stored is not None and sequence.stream <= self._stored:
                self._stored_before.append(message)
            return
        self._last = sequence.stream
        taken.append(
            Message(
                position=sequence.stream,
                body=message.data,
                content_type=header(message.headers, "Content-Type"),
                content_encoding=header(message.headers, "Content-Encoding"),
                handle=message,
            )
        )

    def _end_request(self, message: Msg) -> None:
        """Hear that a request brings no more messages."""
        status = header(message.headers, "Status") or ""
        description = (header(message.headers, "Description") or "").lower()
        if message.subject == self._reply:
            self._is_pulling = False
        if status not in _ENDED and description not in _COMPLETED:
            raise BrokerUnreachableError(str(self._link), f"{status} {description}".strip())


async def _consumers(server: JetStreamContext, stream: str) -> list[ConsumerInfo]:
    """All consumers of a stream; the server tells a page of them at a time."""
    found: list[ConsumerInfo] = []
    while page := await server.consumers_info(stream, offset=len(found)):
        found += page
    return found


async def _stream_of(server: JetStreamContext, subject: str) -> str | None:
    try:
        return await server.find_stream_name_by_subject(subject)
    except nats.js.errors.NotFoundError:
        return None
