"""Events from message brokers: NATS JetStream and Kafka, by the same code."""

from dpdau.streams.consumer import Tally
from dpdau.streams.running import consume

__all__ = ["Tally", "consume"]
