"""What a broker has to be for the rest of the package: a source of unbroken stretches of messages."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

__all__ = ["Batch", "Feed", "Message", "StoredPosition"]

StoredPosition: TypeAlias = Callable[[str], Awaitable[int | None]]
"""Gives the position that the store has in a source; None if it has nothing of it."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a publisher sent it.

    Attributes:
        position: where it is in its source; positions grow, not always by one.
        body: its bytes.
        content_type: of the body, or None if the publisher did not say.
        content_encoding: how the body is compressed, or None.
        handle: what the broker's client knows it by.
    """

    position: int
    body: bytes
    content_type: str | None = None
    content_encoding: str | None = None
    handle: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """An unbroken stretch of one source, in order.

    Attributes:
        source: names what positions count; see `pipeline.positions`.
        behind: the position that the first message follows on; None at the source's beginning.
        messages: at least one.
    """

    source: str
    behind: int | None
    messages: tuple[Message, ...]

    @property
    def last(self) -> int:
        """The position of the last message."""
        return self.messages[-1].position


class Feed(Protocol):
    """Messages of one or several sources, read by one task.

    Nothing may be missing between the position that the store has and a batch, or between one
    batch and the next of its source. Where a client cannot be sure of that any more, it fails with
    a `BrokerUnreachableError`, and is opened again from the store's position.
    """

    @property
    def name(self) -> str:
        """What it reads, for people."""
        ...

    async def open(self, stored_position: StoredPosition) -> None:
        """Connect if need be, and read on behind the positions that the store has.

        Raises:
            BrokerUnreachableError: if the broker does not answer now.
            BrokerRefusedError: if it does not accept the credentials.
            BrokerSetupError: if there is nothing that could be read safely.
            PartitionTakenError: if another consumer has taken over.
        """
        ...

    async def batch(self) -> Batch | None:
        """The next stretch; None if nothing came for about a second.

        No more than one batch beside the one handed out is read ahead.

        Raises:
            BrokerUnreachableError: if the connection or a message was lost.
            PartitionTakenError: if another consumer has taken over.
        """
        ...

    async def acknowledge(self, batch: Batch) -> None:
        """Tell the broker that a batch is stored. That may get lost: the store's position counts."""
        ...

    async def bury(self, batch: Batch, message: Message, reason: str) -> None:
        """Put a message where the dead letters are; durable when this returns.

        Raises:
            BrokerUnreachableError: if it cannot be put there now.
        """
        ...

    async def is_drained(self) -> bool:
        """Whether the broker had nothing more when asked."""
        ...

    async def close(self) -> None:
        """Send the last acknowledgements and let go of the broker."""
        ...
