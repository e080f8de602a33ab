"""Kafka without Kafka: the mock cluster of librdkafka, which speaks the protocol over sockets.

It keeps records in memory and balances groups, and has neither TLS nor credentials nor retention.
Every topic that anyone asks for is there and has four partitions.
"""

from collections.abc import Iterable, Mapping

from confluent_kafka import Producer

__all__ = ["MockKafka"]

_SECONDS = 30


class MockKafka:
    """A cluster of one broker that lives as long as this object."""

    def __init__(self) -> None:
        self._producer = Producer(
            {"bootstrap.servers": "", "test.mock.num.brokers": 1, "log_level": 2}
        )
        brokers = self._producer.list_topics(timeout=_SECONDS).brokers.values()
        self.servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    @property
    def url(self) -> str:
        return f"kafka://{self.servers}"

    def publish(
        self,
        topic: str,
        bodies: Iterable[tuple[int, bytes]],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Put records into partitions, in order; they are there when this returns."""
        for partition, body in bodies:
            self._producer.produce(
                topic, body, partition=partition, headers=list((headers or {}).items())
            )
        assert self._producer.flush(_SECONDS) == 0
