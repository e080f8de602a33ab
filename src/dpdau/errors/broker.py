"""Events cannot be read from a message broker."""

from dpdau.errors.base import DpdauError

__all__ = [
    "BrokerRefusedError",
    "BrokerSetupError",
    "BrokerUnreachableError",
    "ExtraMissingError",
    "PartitionTakenError",
]


class BrokerUnreachableError(DpdauError):
    """The broker does not answer, or no longer."""

    slug = "broker-unreachable"
    title = "Broker unreachable"
    http_status = 502
    exit_code = 6

    def __init__(self, servers: str, reason: str) -> None:
        super().__init__(
            f"No answer from {servers}: {reason}. Nothing is lost: what was not stored is read again."
        )


class BrokerRefusedError(DpdauError):
    """The broker does not let this program in, or not do what it has to."""

    slug = "broker-refused"
    title = "Refused by the broker"
    http_status = 502
    exit_code = 4

    def __init__(self, servers: str, reason: str) -> None:
        super().__init__(
            f"{servers} refused: {reason}. Check BROKER_USER and BROKER_PASSWORD, or "
            "BROKER_CREDENTIALS, and what they allow."
        )


class BrokerSetupError(DpdauError):
    """What should be read at the broker is missing, or made in a way that would lose events."""

    slug = "broker-setup"
    title = "Broker not set up"
    http_status = 502
    exit_code = 2

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}. {remedy}.")


class PartitionTakenError(DpdauError):
    """Another consumer reads the same partition for the same group, and started later."""

    slug = "partition-taken"
    title = "Partition taken over"
    http_status = 502
    exit_code = 5

    def __init__(self, partition: str) -> None:
        super().__init__(
            f"Another consumer of this BROKER_GROUP has taken over {partition}, so this one ends. "
            "Nothing is lost. Start each partition once, and each store with a group of its own."
        )


class ExtraMissingError(DpdauError):
    """A library is needed that a plain installation does not have."""

    slug = "extra-missing"
    title = "Optional part missing"
    exit_code = 2

    def __init__(self, extra: str) -> None:
        super().__init__(
            f"This needs libraries that are not installed: pip install 'dpdau[{extra}]'.",
            extra=extra,
        )
