"""Kafka: one feed reads the partitions that the group assigns to it, or those it is told to.

Whenever partitions are assigned, and whenever the feed is opened, it goes on behind the store's
positions, not behind the offsets that the broker keeps. These are committed once a batch is stored,
for what the broker shows. Of two consumers that both hold a partition for a moment, while a group
balances itself, the store takes the events of one only.

FastStream connects, joins the group and publishes. Records are fetched with the client beneath it,
since its subscriber passes over a batch that fails.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka import TopicPartition as DeclaredPartition
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from dpdau.config import Settings
from dpdau.errors import BrokerRefusedError, BrokerSetupError, BrokerUnreachableError
from dpdau.streams.connections import Connection
from dpdau.streams.headers import dead_headers, header
from dpdau.streams.messages import Batch, Message, StoredPosition

__all__ = ["KafkaFeed", "kafka_feeds", "security"]

_log = structlog.get_logger("dpdau.streams")

_IDLE_MILLISECONDS = 1000
_REFUSALS = (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
_SASL = {
    "plain": SASLPlaintext,
    "scram-sha-256": SASLScram256,
    "scram-sha-512": SASLScram512,
}


def kafka_feeds(settings: Settings, connection: Connection) -> list["KafkaFeed"]:
    """The one feed of a consumer, which reads all its partitions."""
    return [KafkaFeed(settings, connection)]


class KafkaFeed(ConsumerRebalanceListener):  # type: ignore[misc]
    """One member of the group; see `Feed`."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        """Read the configured topic."""
        self._settings = settings
        self._connection = connection
        self._topic = settings.broker_subject
        self._size = settings.broker_batch_messages
        self._broker: KafkaBroker | None = None
        self._consumer: AIOKafkaConsumer | None = None
        self._stored_position: StoredPosition | None = None
        self._behind: dict[TopicPartition, int | None] = {}
        self._ready: deque[tuple[TopicPartition, list[Any]]] = deque()

    @property
    def name(self) -> str:
        """What it reads, for people."""
        return f"{self._connection} {self._topic}"

    async def open(self, stored_position: StoredPosition) -> None:
        """Join the group, or go back to where the store is; see `Feed.open`."""
        self._stored_position = stored_position
        if self._consumer is not None:
            await self._go_to_stored(self._consumer, self._consumer.assignment())
            return
        try:
            with self._translated():
                await self._join()
        except BaseException:
            await self._leave()
            raise

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Go on where the store is, before anything of these partitions is fetched."""
        self._behind.clear()
        if self._consumer is not None:
            await self._go_to_stored(self._consumer, assigned)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Forget what was fetched of them; whoever gets them fetches it again."""
        self._behind.clear()
        self._ready.clear()
        _log.debug("partitions revoked", partitions=sorted(each.partition for each in revoked))

    async def batch(self) -> Batch | None:
        """The next records of one partition; see `Feed.batch`."""
        consumer = self._require_consumer()
        if not self._ready:
            with self._translated():
                await self._fetch(consumer)
        if not self._ready:
            return None
        partition, records = self._ready.popleft()
        if partition not in self._behind:
            return None
        behind = self._behind[partition]
        self._behind[partition] = records[-1].offset
        return Batch(self._source(partition), behind, tuple(map(_message, records)))

    async def acknowledge(self, batch: Batch) -> None:
        """Commit the offset behind a batch, if the partition is still this consumer's."""
        consumer = self._require_consumer()
        record = batch.messages[-1].handle
        partition = TopicPartition(record.topic, record.partition)
        # Someone else's by now, who goes on at the store's position.
        with suppress(CommitFailedError, IllegalStateError), self._translated():
            await consumer.commit({partition: batch.last + 1})

    async def bury(self, batch: Batch, message: Message, reason: str) -> None:
        """Put a record into the topic of dead letters."""
        record = message.handle
        origin = f"{record.topic} {record.partition}"
        headers = dead_headers(message, origin=origin, reason=reason)
        headers["Dpdau-Id"] = f"{batch.source} {message.position}"
        body = message.body if self._settings.broker_dead_payloads else b""
        if self._broker is None:
            raise BrokerUnreachableError(str(self._connection), "the connection was lost")
        with self._translated():
            await self._broker.publish(
                body, self._settings.broker_dead_subject, key=record.key, headers=headers
            )

    async def is_drained(self) -> bool:
        """Whether every assigned partition was read to its end when asked."""
        consumer = self._require_consumer()
        with self._translated():
            ends = await consumer.end_offsets(list(self._behind))
            places = {each: await consumer.position(each) for each in ends}
        return bool(ends) and not self._ready and all(places[each] >= ends[each] for each in ends)

    async def close(self) -> None:
        """Leave the group."""
        await self._leave()

    async def _join(self) -> None:
        self._broker = broker = KafkaBroker(
            list(self._connection.servers),
            client_id="dpdau",
            security=security(self._settings, self._connection),
            acks="all",
            enable_idempotence=True,
            allow_auto_create_topics=False,
            logger=None,
        )
        given: dict[str, Any] = {
            "auto_offset_reset": "earliest",
            "ack_policy": AckPolicy.MANUAL,
            "group_id": self._settings.broker_group,
        }
        partitions = self._settings.broker_partitions
        if partitions is None:
            subscriber = broker.subscriber(self._topic, listener=self, **given)
        else:
            chosen = [DeclaredPartition(self._topic, each) for each in partitions]
            subscriber = broker.subscriber(partitions=chosen, **given)
        await broker.connect()
        await broker.start()
        self._consumer = subscriber.consumer
        await self._go_to_stored(self._require_consumer(), self._require_consumer().assignment())

    async def _leave(self) -> None:
        broker, self._broker, self._consumer = self._broker, None, None
        self._behind.clear()
        self._ready.clear()
        if broker is not None:
            with suppress(KafkaError, OSError, TimeoutError):
                await broker.stop()

    def _require_consumer(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise BrokerUnreachableError(str(self._connection), "the connection was lost")
        return self._consumer

    async def _go_to_stored(
        self, consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]
    ) -> None:
        """Fetch next what follows on what the store has."""
        self._ready.clear()
        with self._translated():
            firsts = await consumer.beginning_offsets(list(partitions))
            ends = await consumer.end_offsets(list(partitions))
        for partition, first in firsts.items():
            behind = await self._stored(partition)
            if behind is not None and behind >= ends[partition]:
                what = (
                    f"Partition {partition.partition} of {self._topic} ends before offset "
                    f"{ends[partition]}, and the store has it up to {behind}: it was made anew"
                )
                raise BrokerSetupError(
                    what, "Send what it lost, and all that follows, to a new topic"
                )
            if behind is not None and first > behind + 1:
                _log.warning(
                    "messages expired",
                    source=f"{self.name} {partition.partition}",
                    stored_up_to=behind,
                    first_left=first,
                )
            self._behind[partition] = behind
            consumer.seek(partition, first if behind is None else max(first, behind + 1))

    async def _stored(self, partition: TopicPartition) -> int | None:
        if self._stored_position is None:
            return None
        return await self._stored_position(self._source(partition))

    async def _fetch(self, consumer: AIOKafkaConsumer) -> None:
        """Fetch records, and those that come in the moment after the first."""
        found = await consumer.getmany(timeout_ms=_IDLE_MILLISECONDS, max_records=self._size)
        count = sum(map(len, found.values()))
        if 0 < count < self._size and self._settings.broker_linger_seconds:
            await asyncio.sleep(self._settings.broker_linger_seconds)
            self._keep(found)
            found = await consumer.getmany(timeout_ms=0, max_records=self._size - count)
        self._keep(found)

    def _keep(self, found: dict[TopicPartition, list[ConsumerRecord[Any, Any]]]) -> None:
        for partition, records in found.items():
            known = next((kept for each, kept in self._ready if each == partition), None)
            if known is None:
                self._ready.append((partition, list(records)))
            else:
                known.extend(records)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (CommitFailedError, IllegalStateError):
            raise
        except _REFUSALS as error:
            raise BrokerRefusedError(str(self._connection), _in_words(error)) from None
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnreachableError(str(self._connection), _in_words(error)) from None

    def _source(self, partition: TopicPartition) -> str:
        return f"kafka {partition.topic} {partition.partition}"


def _message(record: ConsumerRecord[Any, Any]) -> Message:
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers if value}
    return Message(
        position=record.offset,
        body=record.value or b"",
        content_type=header(headers, "Content-Type"),
        content_encoding=header(headers, "Content-Encoding"),
        handle=record,
    )


def security(settings: Settings, connection: Connection) -> BaseSecurity:
    """How the client proves who it is."""
    if settings.broker_user is None or settings.broker_password is None:
        return BaseSecurity(ssl_context=connection.tls)
    kind = _SASL[settings.broker_sasl]
    password = settings.broker_password.get_secret_value()
    return kind(settings.broker_user, password, ssl_context=connection.tls)


def _in_words(error: Exception) -> str:
    return str(error).strip() or type(error).__name__
